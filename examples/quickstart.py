"""Route two questions to the model that each needs, and see why.

Needs OPENAI_API_KEY, or a server of your own: OPENAI_BASE_URL=http://127.0.0.1:11434/v1
"""

from turnout import Controller
from turnout.client import decision_of


def main() -> None:
    with Controller(routers=["mf"], strong_model="gpt-4", weak_model="gpt-3.5-turbo") as client:
        for question in (
            "What is the capital of Norway?",
            "Prove that there are infinitely many primes of the form 4k + 3.",
        ):
            reply = client.chat.completions.create(
                model="router-mf-0.45",
                messages=[{"role": "user", "content": question}],
            )
            decision = decision_of(reply)  # the same as reply.turnout
            print(f"{question}\n  {decision.model}: {reply.choices[0].message.content}")
            print(f"  {decision.reason}")
        print(f"sent so far: {dict(client.model_counts['mf'])}")


if __name__ == "__main__":
    main()
