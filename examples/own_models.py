"""Three models in three places, each with its own base URL, key and price.

Set LOCAL_URL to a server on your machine, such as http://127.0.0.1:11434/v1 (it needs no key), and
OPENAI_API_KEY for the others, or OPENAI_BASE_URL for a server of your own.
"""

import os

from turnout import Controller
from turnout.client import decision_of


def main() -> None:
    models = {  # strongest first
        "gpt-4o": {},  # from the SDK's settings; its price is in the offline list
        "small-cloud": {"model": "gpt-4o-mini", "price": (0.15, 0.60)},  # USD per million tokens
        "local": {
            "model": "llama3.2",
            "base_url": os.environ.get("LOCAL_URL", "http://127.0.0.1:11434/v1"),
            "price": (0, 0),
        },
    }
    with Controller(routers=["mf"], models=models) as client:
        for share in ("0", "0.5", "1"):  # of the possible saving: 0 is best quality, 1 is cheapest
            reply = client.chat.completions.create(
                model=f"router-mf-{share}",
                messages=[{"role": "user", "content": "Summarise the plot of Hamlet."}],
            )
            decision = decision_of(reply)
            cost = decision.expected_cost_usd[decision.model]
            print(f"saving {share}: {decision.model}, expected cost {cost:.6f} USD")


if __name__ == "__main__":
    main()
