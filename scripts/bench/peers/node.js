// The obvious server with Node's `ws`: what comes line by line on one port goes to every WebSocket
// on the other. Usage: node node.js LINES_PORT WEBSOCKET_PORT
"use strict";
const net = require("node:net");
const readline = require("node:readline");
const { WebSocketServer } = require("ws");

const [lines, port] = process.argv.slice(2).map(Number);
const options = { host: "127.0.0.1", port, perMessageDeflate: false, backlog: 4096 };
const server = new WebSocketServer(options);

net
  .createServer((source) => {
    source.on("error", () => {}); // the publisher was stopped
    readline.createInterface({ input: source }).on("line", (line) => {
      for (const client of server.clients) {
        if (client.readyState === client.OPEN) client.send(line);
      }
    });
  })
  .listen(lines, "127.0.0.1");
