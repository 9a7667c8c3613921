"""Stream an answer; the decision is there before the first word.

Needs OPENAI_API_KEY, or a server of your own: OPENAI_BASE_URL=http://127.0.0.1:11434/v1
"""

from turnout import Controller
from turnout.client import decision_of


def main() -> None:
    with Controller(routers=["mf"], strong_model="gpt-4", weak_model="gpt-3.5-turbo") as client:
        stream = client.chat.completions.create(
            model="router-mf-0.45",
            messages=[{"role": "user", "content": "Tell me a story of three sentences."}],
            stream=True,
        )
        print(f"[{decision_of(stream).model}] ", end="")
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                print(chunk.choices[0].delta.content, end="", flush=True)
        print()


if __name__ == "__main__":
    main()
