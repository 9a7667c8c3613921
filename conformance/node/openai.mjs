// The official `openai` package for Node.
import OpenAI from "openai";
import { ASK, BAD_KEY, CACHED_TOKENS, KEY, MODELS, UNKNOWN, V1, WEATHER, calls, check, ok, raises, same, scripted } from "./checking.mjs";

const client = new OpenAI({ baseURL: V1, apiKey: KEY });
const messages = [{ role: "user", content: ASK }];
const described = { name: "weather", description: "Of a city.", parameters: WEATHER };
const tools = [{ type: "function", function: described }];

await check("plain usage", MODELS, async (model) => {
  const reply = await client.chat.completions.create({ model, messages });
  ok(reply.choices[0].message.content.includes(ASK));
  same(reply.usage.prompt_tokens_details.cached_tokens, CACHED_TOKENS);
});

await check("stream", MODELS, async (model) => {
  let text = "";
  let usage;
  const options = { include_usage: true };
  const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: options });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    usage = chunk.usage ?? usage;
  }
  ok(text.includes(ASK));
  ok(usage.prompt_tokens > CACHED_TOKENS);
});

await check("tools", MODELS, async (model) => {
  const first = await client.chat.completions.create({ model, messages, tools });
  const said = first.choices[0].message;
  const call = said.tool_calls[0];
  same(Object.keys(JSON.parse(call.function.arguments)).sort(), ["city", "degrees"]);
  const result = { role: "tool", tool_call_id: call.id, content: "12 degrees" };
  const last = await client.chat.completions.create({ model, messages: [...messages, said, result], tools });
  ok(last.choices[0].message.content);
});

await check("structured", MODELS, async (model) => {
  const json_schema = { name: "weather", schema: WEATHER, strict: true };
  const reply = await client.chat.completions.parse({
    model, messages, response_format: { type: "json_schema", json_schema },
  });
  same(Object.keys(JSON.parse(reply.choices[0].message.content)).sort(), ["city", "degrees"]);
});

await check("responses stream tools", MODELS, async (model) => {
  const reply = await client.responses.create({ model, input: ASK });
  ok(reply.output_text.includes(ASK));
  let last;
  for await (const event of await client.responses.create({ model, input: ASK, stream: true })) last = event;
  same(last.type, "response.completed");
  const given = [{ type: "function", strict: true, ...described }];
  const first = await client.responses.create({ model, input: ASK, tools: given });
  const call = first.output.find((item) => item.type === "function_call");
  const result = { type: "function_call_output", call_id: call.call_id, output: "12 degrees" };
  const input = [{ role: "user", content: ASK }, call, result];
  ok((await client.responses.create({ model, input, tools: given })).output_text);
});

await check("errors", ["auto"], async (model) => {
  const ask = (content) => () => client.chat.completions.create({ model, messages: [{ role: "user", content }] });
  await raises(OpenAI.RateLimitError, ask(scripted(429, "slow")));
  same(await calls("slow"), 3);
  await raises(OpenAI.InternalServerError, ask(scripted(500, "broken")));
  same(await calls("broken"), 1);
  await raises(OpenAI.BadRequestError, ask(scripted(400, "wrong")));
});

await check("models", ["auto"], async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  ok(MODELS.every((name) => names.includes(name)));
});

await check("embeddings", ["vectors"], async (model) => {
  const found = await client.embeddings.create({ model, input: ["one", "two"] });
  same(found.data.map((row) => row.embedding.length), [8, 8]);
});

await check("refusals", ["auto"], async () => {
  const stranger = new OpenAI({ baseURL: V1, apiKey: BAD_KEY });
  for (const [api, kind] of [[client, OpenAI.NotFoundError], [stranger, OpenAI.AuthenticationError]]) {
    await raises(kind, () => api.chat.completions.create({ model: UNKNOWN, messages }));
    await raises(kind, () => api.chat.completions.create({ model: UNKNOWN, messages, stream: true }));
    await raises(kind, () => api.responses.create({ model: UNKNOWN, input: ASK }));
    await raises(kind, () => api.embeddings.create({ model: UNKNOWN, input: "one" }));
  }
});
