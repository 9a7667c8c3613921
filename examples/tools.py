"""Let the chosen model call a function, and answer from what it returned.

Needs OPENAI_API_KEY, or a server of your own: OPENAI_BASE_URL=http://127.0.0.1:11434/v1
"""

import json
from typing import Any

from turnout import Controller

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def weather(city: str) -> str:
    return f"4 degrees and rain in {city}"


def main() -> None:
    messages: list[Any] = [{"role": "user", "content": "Do I need a coat in Oslo?"}]
    with Controller(routers=["mf"], strong_model="gpt-4", weak_model="gpt-3.5-turbo") as client:
        asked = client.chat.completions.create(
            model="router-mf-0.45", messages=messages, tools=[WEATHER]
        )
        message = asked.choices[0].message
        messages.append(message)
        for call in message.tool_calls or []:
            if call.type != "function":
                continue
            found = weather(**json.loads(call.function.arguments))
            print(f"called weather: {found}")
            messages.append({"role": "tool", "tool_call_id": call.id, "content": found})
        answer = client.chat.completions.create(
            model="router-mf-0.45", messages=messages, tools=[WEATHER]
        )
        print(answer.choices[0].message.content)


if __name__ == "__main__":
    main()
