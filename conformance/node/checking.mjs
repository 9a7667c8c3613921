// What the clients' scripts share: where the gateway is, and checks that are told in JSON lines.
export const BASE = process.env.CONFORMANCE_GATEWAY;
export const V1 = `${BASE}/v1`;
export const KEY = process.env.CONFORMANCE_KEY;
export const BAD_KEY = "a-key-that-the-gateway-does-not-know";
export const UNKNOWN = "no-such-model";
export const MODELS = ["auto", "over-chat", "over-messages", "over-responses"];
export const ASK = "What is the weather like in Paris today?";
export const CACHED_TOKENS = 3;
export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" }, degrees: { type: "integer" } },
  required: ["city", "degrees"],
  additionalProperties: false,
};

export function ok(value, what) {
  if (!value) throw new Error(what ?? "a check did not hold");
}

export function same(found, wanted) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  ok(a === b, `${a} is not ${b}`);
}

export async function check(name, models, run) {
  for (const model of models) {
    let problem = "";
    try {
      await run(model);
    } catch (error) {
      problem = String(error?.stack ?? error).slice(0, 3000) || "failed";
    }
    console.log("CHECK " + JSON.stringify({ check: name, model, ok: !problem, problem }));
  }
}

export const scripted = (status, tag) =>
  `${ASK} scripted:${status}:${process.env.CONFORMANCE_CLIENT}-${tag}`;

export async function calls(tag) {
  const name = `${process.env.CONFORMANCE_CLIENT}-${tag}`;
  return (await (await fetch(`${process.env.CONFORMANCE_UPSTREAM}/count/${name}`)).json()).count;
}

export async function raises(kind, run) {
  try {
    await run();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`no ${kind.name} was raised`);
}
