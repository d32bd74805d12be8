// Sends readings to Takt with nothing but Node 18 or later: node takt.mjs
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

const TAKT_URL = "https://takt.example";
const TAKT_KEY = "PUT-THE-KEY-HERE";
const TAKT_CA = "/path/to/ca.pem"; // the authority behind the server's certificate; "": Node's own

const ca = TAKT_CA ? readFileSync(TAKT_CA) : undefined;
const headers = { Authorization: `Bearer ${TAKT_KEY}`, "Content-Type": "application/json" };

function post(body) {
  return new Promise((resolve, reject) => {
    const url = `${TAKT_URL}/api/v1/telemetry`;
    const call = request(url, { method: "POST", headers, ca, timeout: 20_000 }, async (answer) => {
      try {
        let text = "";
        for await (const part of answer) text += part;
        resolve({ status: answer.statusCode, retryAfter: answer.headers["retry-after"], text });
      } catch (error) {
        reject(error);
      }
    });
    call.on("timeout", () => call.destroy(new Error("no answer in 20 s")));
    call.on("error", reject);
    call.end(body);
  });
}

// Sends one reading until it is answered for; returns the answer.
export async function send(values, ts = Date.now()) {
  // Stamped once, here: when it has to be sent again, Takt knows that it is the same reading.
  const body = JSON.stringify({ ts: Number(ts), values });
  for (let waitS = 1; ; waitS = Math.min(waitS * 2, 60)) {
    const { status, retryAfter, text } = await post(body).catch(() => ({ status: 0 }));
    // Stored, a duplicate (it had come already), or refused: the answer says which.
    if (status === 200 || status === 422) return JSON.parse(text);
    if (status !== 0 && status !== 429 && status < 500) throw new Error(`${status}: ${text}`);
    await sleep(1000 * (Number(retryAfter) || waitS * (0.5 + Math.random() / 2)));
  }
}

console.log(await send({ temperature_c: 21.4, running: true, program: "O1000" }));
