"""Ask several questions at once.

Needs OPENAI_API_KEY, or a server of your own: OPENAI_BASE_URL=http://127.0.0.1:11434/v1
"""

import asyncio

from turnout import Controller
from turnout.client import decision_of

QUESTIONS = ("What is 2 + 2?", "Who wrote Hamlet?", "Derive the quadratic formula.")


async def main() -> None:
    async with Controller(
        routers=["mf"], strong_model="gpt-4", weak_model="gpt-3.5-turbo"
    ) as client:
        replies = await asyncio.gather(
            *(
                client.chat.completions.acreate(
                    model="router-mf-0.45", messages=[{"role": "user", "content": question}]
                )
                for question in QUESTIONS
            )
        )
    for question, reply in zip(QUESTIONS, replies, strict=True):
        print(f"{question} [{decision_of(reply).model}] {reply.choices[0].message.content}")


if __name__ == "__main__":
    asyncio.run(main())
