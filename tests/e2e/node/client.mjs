// A TypeScript SDK client that makes the calls it is told to and prints what came back, one JSON line each.
//
//   node client.mjs http URL CALLS            node client.mjs stdio CALLS COMMAND ARGS…
//
// CALLS is JSON: [{"name", "arguments", "progress": bool, "timeout_ms"}]. With HTTPS_PROXY in the environment
// and NODE_USE_ENV_PROXY=1 its fetch goes through the proxy.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const say = (value) => process.stdout.write(JSON.stringify(value) + '\n');

const [kind, ...rest] = process.argv.slice(2);
let transport, calls;
if (kind === 'http') {
  const headers = process.env.TEST_SESSION ? { 'x-checkrein-session': process.env.TEST_SESSION } : {};
  transport = new StreamableHTTPClientTransport(new URL(rest[0]), { requestInit: { headers } });
  calls = JSON.parse(rest[1]);
} else {
  calls = JSON.parse(rest[0]);
  transport = new StdioClientTransport({ command: rest[1], args: rest.slice(2), stderr: 'inherit' });
}

const client = new Client({ name: 'checkrein-e2e', version: '1.0.0' });
client.onerror = (error) => say({ error: String(error) });
await client.connect(transport);
const { tools } = await client.listTools();
say({ tools: tools.map((tool) => tool.name) });
for (const call of calls) {
  const options = {};
  if (call.progress) options.onprogress = (progress) => say({ progress });
  if (call.timeout_ms) options.timeout = call.timeout_ms;
  try {
    const result = await client.callTool({ name: call.name, arguments: call.arguments }, undefined, options);
    say({ result });
  } catch (error) {
    say({ thrown: String(error) });
  }
}
await client.close();
