// Runs a Node-RED flow without Node-RED: node node_red.mjs FLOW PAYLOAD. The nodes' own code runs as
// it stands; injecting, requests and delays are done here. Ends when nothing is left to do.
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

const flow = JSON.parse(readFileSync(process.argv[2], "utf8"));
const byId = new Map(flow.map((node) => [node.id, node]));

function call({ method, url, headers, payload }, { ca }) {
  return new Promise((resolve) => {
    const options = { method, headers, ca: readFileSync(ca) };
    const asked = request(url, options, async (answer) => {
      let text = "";
      for await (const part of answer) text += part;
      let parsed = text;
      try {
        parsed = JSON.parse(text);
      } catch {
        // Node-RED passes on what is no JSON as text.
      }
      resolve({ statusCode: answer.statusCode, headers: answer.headers, payload: parsed });
    });
    // As the request node tells of no answer.
    asked.on("error", (error) => resolve({ statusCode: error.code, payload: String(error) }));
    asked.end(JSON.stringify(payload));
  });
}

const does = {
  function: (node, msg) => {
    const told = { status: (status) => console.log(status.text), error: (text) => console.error(text) };
    const out = new Function("msg", "node", node.func)(msg, told);
    return Array.isArray(out) ? out : [out];
  },
  "http request": async (node, msg) => [Object.assign(msg, await call(msg, byId.get(node.tls)))],
  delay: async (_node, msg) => {
    await sleep(msg.delay);
    return [msg];
  },
};

async function run(id, msg) {
  const node = byId.get(id);
  const outputs = await does[node.type](node, msg);
  for (const [port, out] of outputs.entries()) {
    for (const next of out ? (node.wires[port] ?? []) : []) await run(next, out);
  }
}

const inject = flow.find((node) => node.type === "inject");
for (const next of inject.wires[0]) await run(next, { payload: JSON.parse(process.argv[3]) });
