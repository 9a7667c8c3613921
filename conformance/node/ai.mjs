// The Vercel AI SDK: `openai()` (Responses), `openai.chat()`, `openai-compatible` and `anthropic()`.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, RetryError, embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { ASK, BAD_KEY, CACHED_TOKENS, KEY, MODELS, UNKNOWN, V1, calls, check, ok, raises, same, scripted } from "./checking.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const openai = createOpenAI({ baseURL: V1, apiKey: KEY });
const each = (model, apiKey = KEY) => {
  const own = createOpenAI({ baseURL: V1, apiKey });
  const compatible = createOpenAICompatible({
    name: "turnout", baseURL: V1, apiKey, supportsStructuredOutputs: true, includeUsage: true,
  });
  return [own(model), own.chat(model), compatible(model), createAnthropic({ baseURL: V1, apiKey })(model)];
};
const schema = z.object({ city: z.string(), degrees: z.number().int() });

await check("plain usage", MODELS, async (name) => {
  for (const model of each(name)) {
    const { text, usage } = await generateText({ model, prompt: ASK });
    ok(text.includes(ASK));
    same(usage.inputTokenDetails?.cacheReadTokens ?? usage.cachedInputTokens, CACHED_TOKENS);
  }
});

await check("stream", MODELS, async (name) => {
  for (const model of each(name)) {
    const found = streamText({ model, prompt: ASK });
    ok((await found.text).includes(ASK));
    ok((await found.usage).inputTokens > 0);
  }
});

await check("tools", MODELS, async (name) => {
  for (const model of each(name)) {
    let called = 0;
    const execute = async () => { called += 1; return "12 degrees"; };
    const weather = tool({ description: "Of a city.", inputSchema: schema, execute });
    const { text } = await generateText({ model, prompt: ASK, tools: { weather }, stopWhen: stepCountIs(3) });
    ok(text);
    same(called, 1);
  }
});

await check("structured", MODELS, async (name) => {
  for (const model of each(name)) {
    const { object } = await generateObject({ model, prompt: ASK, schema });
    same(Object.keys(object).sort(), ["city", "degrees"]);
  }
});

await check("errors", ["auto"], async (name) => {
  for (const [i, model] of each(name).entries()) {
    const ask = (text) => () => generateText({ model, prompt: text, maxRetries: 1 });
    await raises(RetryError, ask(scripted(429, `slow-${i}`)));
    same(await calls(`slow-${i}`), 2);
    const wrong = await raises(APICallError, ask(scripted(400, `wrong-${i}`)));
    same(wrong.statusCode, 400);
  }
});

await check("embeddings", ["vectors"], async (name) => {
  const { embeddings } = await embedMany({ model: openai.textEmbeddingModel(name), values: ["one", "two"] });
  same(embeddings.map((row) => row.length), [8, 8]);
});

await check("refusals", ["auto"], async (name) => {
  for (const [models, status] of [[each(UNKNOWN), 404], [each(name, BAD_KEY), 401]]) {
    for (const model of models) {
      const found = await raises(APICallError, () => generateText({ model, prompt: ASK }));
      same(found.statusCode, status);
    }
  }
});
