// The client that the conformance suite's client scenarios are run with: connects, lists, calls each tool once.
//
//   node conforming_client.mjs URL
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const capabilities = { elicitation: { form: { applyDefaults: true } } };
const client = new Client({ name: 'checkrein-conformance', version: '1.0.0' }, { capabilities });
client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: {} }));
const transport = new StreamableHTTPClientTransport(new URL(process.argv.at(-1)));
await client.connect(transport);
const { tools } = await client.listTools().catch(() => ({ tools: [] })); // not every scenario has tools
for (const { name, inputSchema } of tools) {
  const wanted = Object.entries(inputSchema.properties ?? {});
  const given = wanted.map(([key, { type }]) => [key, type === 'number' || type === 'integer' ? 5 : 'x']);
  await client.callTool({ name, arguments: Object.fromEntries(given) });
}
await transport.close();
