// The official `@anthropic-ai/sdk`.
import Anthropic from "@anthropic-ai/sdk";
import { ASK, BAD_KEY, BASE, CACHED_TOKENS, KEY, MODELS, UNKNOWN, WEATHER, calls, check, ok, raises, same, scripted } from "./checking.mjs";

const client = new Anthropic({ baseURL: BASE, apiKey: KEY });
const messages = [{ role: "user", content: ASK }];
const tools = [{ name: "weather", description: "Of a city.", input_schema: WEATHER }];

await check("plain usage", MODELS, async (model) => {
  const reply = await client.messages.create({ model, max_tokens: 99, messages });
  ok(reply.content[0].text.includes(ASK));
  same(reply.usage.cache_read_input_tokens, CACHED_TOKENS);
});

await check("stream", MODELS, async (model) => {
  const reply = await client.messages.stream({ model, max_tokens: 99, messages }).finalMessage();
  ok(reply.content[0].text.includes(ASK));
  ok(reply.usage.output_tokens > 0);
});

await check("tools", MODELS, async (model) => {
  const first = await client.messages.create({ model, max_tokens: 99, messages, tools });
  same(first.stop_reason, "tool_use");
  const use = first.content.find((block) => block.type === "tool_use");
  same(Object.keys(use.input).sort(), ["city", "degrees"]);
  const result = { type: "tool_result", tool_use_id: use.id, content: "12 degrees" };
  const said = [...messages, { role: "assistant", content: first.content }, { role: "user", content: [result] }];
  const last = await client.messages.create({ model, max_tokens: 99, messages: said, tools });
  ok(last.content[0].text);
});

await check("errors", ["auto"], async (model) => {
  const ask = (content) => () => client.messages.create({ model, max_tokens: 9, messages: [{ role: "user", content }] });
  await raises(Anthropic.RateLimitError, ask(scripted(429, "slow")));
  same(await calls("slow"), 3);
  await raises(Anthropic.InternalServerError, ask(scripted(500, "broken")));
  same(await calls("broken"), 1);
  await raises(Anthropic.BadRequestError, ask(scripted(400, "wrong")));
});

await check("models", ["auto"], async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  ok(MODELS.every((name) => names.includes(name)));
});

await check("count_tokens", ["auto"], async (model) => {
  ok((await client.messages.countTokens({ model, messages })).input_tokens > 0);
});

await check("refusals", ["auto"], async () => {
  const stranger = new Anthropic({ baseURL: BASE, apiKey: BAD_KEY });
  for (const [api, kind] of [[client, Anthropic.NotFoundError], [stranger, Anthropic.AuthenticationError]]) {
    await raises(kind, () => api.messages.create({ model: UNKNOWN, max_tokens: 9, messages }));
    await raises(kind, () => api.messages.create({ model: UNKNOWN, max_tokens: 9, messages, stream: true }));
  }
});
