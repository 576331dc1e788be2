// A streamable HTTP server with the tools, resources and prompts that the conformance suite asks for by
// name (https://github.com/modelcontextprotocol/conformance, "server requirements", read 2026-11).
//
//   PORT=… node server.mjs
//
// It says `listening` on stdout when it takes connections.
import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';
const port = Number(process.env.PORT);
const sessions = new Map();

const text = (value) => ({ type: 'text', text: value });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const embedded = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const object = (properties = {}) => ({ type: 'object', properties });
const string = { type: 'string' };

const elicit = (properties, required = []) => async (_args, extra) => {
  const params = { mode: 'form', message: 'Please fill in.', requestedSchema: { ...object(properties), required } };
  const answer = await extra.sendRequest({ method: 'elicitation/create', params }, types.ElicitResultSchema);
  return [text(`action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`)];
};

const three = ['option1', 'option2', 'option3'];
const titled = (names) => names.map((title, at) => ({ const: `value${at + 1}`, title }));

// name: [what it does, its input schema]
const TOOLS = {
  test_simple_text: [() => [text('This is a simple text response for testing.')]],
  test_image_content: [() => [image]],
  test_audio_content: [() => [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }]],
  test_embedded_resource: [() => [embedded('test://embedded-resource', 'text/plain', 'embedded')]],
  test_multiple_content_types: [
    () => [text('mixed'), image, embedded('test://mixed-content-resource', 'application/json', '{"a": 1}')],
  ],
  test_tool_with_logging: [
    async (_args, extra) => {
      for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
        await extra.sendNotification({ method: 'notifications/message', params: { level: 'info', data } });
        await pause(20);
      }
      return [text('logged')];
    },
  ],
  test_tool_with_progress: [
    async (_args, extra) => {
      const progressToken = extra._meta?.progressToken ?? 0;
      for (const progress of [0, 50, 100]) {
        const params = { progressToken, progress, total: 100 };
        await extra.sendNotification({ method: 'notifications/progress', params });
        await pause(20);
      }
      return [text('done')];
    },
  ],
  test_error_handling: [
    () => {
      throw new Error('This tool intentionally returns an error for testing');
    },
  ],
  test_reconnection: [
    async (_args, extra) => {
      extra.closeSSEStream?.(); // the result comes when the client has come back
      await pause(100);
      return [text('reconnected')];
    },
  ],
  test_sampling: [
    async (args, extra) => {
      const messages = [{ role: 'user', content: text(args.prompt) }];
      const params = { messages, maxTokens: 100 };
      const request = { method: 'sampling/createMessage', params };
      const answer = await extra.sendRequest(request, types.CreateMessageResultSchema);
      return [text(`LLM response: ${answer.content.text}`)];
    },
    object({ prompt: string }),
  ],
  test_elicitation: [elicit({ response: string }, ['response']), object({ message: string })],
  test_elicitation_sep1034_defaults: [
    elicit({
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    }),
  ],
  test_elicitation_sep1330_enums: [
    elicit({
      untitledSingle: { type: 'string', enum: three },
      titledSingle: { type: 'string', oneOf: titled(['First', 'Second', 'Third']) },
      legacyEnum: { type: 'string', enum: ['opt1', 'opt2'], enumNames: ['One', 'Two'] },
      untitledMulti: { type: 'array', minItems: 1, items: { type: 'string', enum: three } },
      titledMulti: { type: 'array', minItems: 1, items: { anyOf: titled(['First', 'Second', 'Third']) } },
    }),
  ],
  json_schema_2020_12_tool: [
    (args) => [text(JSON.stringify(args))],
    {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: { address: object({ street: string, city: string }) },
      properties: { name: string, address: { $ref: '#/$defs/address' } },
      additionalProperties: false,
    },
  ],
};

const RESOURCES = {
  'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
  'test://static-binary': { mimeType: 'image/png', blob: PNG },
  'test://watched-resource': { mimeType: 'text/plain', text: 'watched' },
};

const user = (content) => ({ role: 'user', content });
const PROMPTS = {
  test_simple_prompt: [[], () => [user(text('This is a simple prompt for testing.'))]],
  test_prompt_with_arguments: [
    ['arg1', 'arg2'],
    (args) => [user(text(`Prompt with arguments: arg1='${args.arg1}', arg2='${args.arg2}'`))],
  ],
  test_prompt_with_embedded_resource: [
    ['resourceUri'],
    (args) => [user(embedded(args.resourceUri, 'text/plain', 'embedded')), user(text('Please process it.'))],
  ],
  test_prompt_with_image: [[], () => [user(image), user(text('Please analyze it.'))]],
};

function speak() {
  const capabilities = {
    tools: { listChanged: true },
    resources: { subscribe: true, listChanged: true },
    prompts: { listChanged: true },
    logging: {},
    completions: {},
  };
  const server = new Server({ name: 'checkrein-conformance', version: '1.0.0' }, { capabilities });
  const on = (schema, answer) => server.setRequestHandler(schema, answer);
  on(types.ListToolsRequestSchema, () => ({
    tools: Object.entries(TOOLS).map(([name, [, inputSchema]]) => ({
      name,
      description: `The conformance suite's ${name}.`,
      inputSchema: inputSchema ?? object(),
    })),
  }));
  on(types.CallToolRequestSchema, async ({ params }, extra) => {
    const [run] = TOOLS[params.name] ?? [];
    if (!run) throw new types.McpError(types.ErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    try {
      return { content: await run(params.arguments ?? {}, extra) };
    } catch (error) {
      return { content: [text(error.message)], isError: true };
    }
  });
  on(types.ListResourcesRequestSchema, () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({ uri, name: uri, mimeType })),
  }));
  on(types.ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: [{ uriTemplate: 'test://template/{id}/data', name: 'template' }],
  }));
  on(types.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
    const made = { mimeType: 'application/json', text: JSON.stringify({ id, data: `Data for ID: ${id}` }) };
    const found = id ? made : RESOURCES[uri];
    if (!found) throw new types.McpError(-32002, `Resource not found: ${uri}`);
    return { contents: [{ uri, ...found }] };
  });
  on(types.SubscribeRequestSchema, () => ({}));
  on(types.UnsubscribeRequestSchema, () => ({}));
  on(types.ListPromptsRequestSchema, () => ({
    prompts: Object.entries(PROMPTS).map(([name, [names]]) => ({
      name,
      description: `The conformance suite's ${name}.`,
      arguments: names.map((argument) => ({ name: argument, required: true })),
    })),
  }));
  on(types.GetPromptRequestSchema, ({ params }) => ({
    messages: PROMPTS[params.name][1](params.arguments ?? {}),
  }));
  on(types.SetLevelRequestSchema, () => ({}));
  on(types.CompleteRequestSchema, () => ({ completion: { values: ['paris'], total: 1, hasMore: false } }));
  return server;
}

// Remembers events, so that a client that comes back hears what it missed.
function eventStore() {
  const events = [];
  return {
    async storeEvent(stream, message) {
      events.push({ stream, message });
      return `${events.length - 1}`;
    },
    async replayEventsAfter(last, { send }) {
      const { stream } = events[Number(last)];
      for (let at = Number(last) + 1; at < events.length; at += 1) {
        const { stream: own, message } = events[at];
        if (own === stream && Object.keys(message).length) await send(`${at}`, message);
      }
      return stream;
    },
  };
}

async function transportFor(request) {
  const known = sessions.get(request.headers['mcp-session-id']);
  if (known || request.headers['mcp-session-id']) return known;
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => sessions.set(id, transport),
    eventStore: eventStore(),
    retryInterval: 500,
  });
  await speak().connect(transport);
  return transport;
}

// Names this server goes by; a page that rebinds its name to us has another origin.
const isLocal = (url) => ['localhost', '127.0.0.1', '[::1]'].includes(new URL(url).hostname);

createServer(async (request, response) => {
  const { host, origin } = request.headers;
  if (!isLocal(`http://${host}`) || (origin && !isLocal(origin))) {
    response.writeHead(403).end();
    return;
  }
  const transport = await transportFor(request);
  if (!transport) {
    response.writeHead(404).end();
    return;
  }
  await transport.handleRequest(request, response);
}).listen(port, '127.0.0.1', () => console.log('listening'));
