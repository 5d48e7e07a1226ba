// The routes of heph_http_bench by Node. Usage: node node_server.mjs ADDRESS PORT
import http from "node:http";

const routes = {
    "/hello": ["text/plain", Buffer.from("Hello, World!")],
    "/json": ["application/json", Buffer.from('{"message":"Hello, World!"}')],
    "/10k": ["text/plain", Buffer.alloc(10 * 1024, "x")],
    "/1m": ["text/plain", Buffer.alloc(1024 * 1024, "x")],
};
// Idle connections are kept, as the others keep them.
http.createServer({keepAliveTimeout: 600_000, requestTimeout: 0}, (request, response) => {
    const route = routes[request.url];
    if (!route) { response.writeHead(404).end(); return; }
    response.writeHead(200, {"Content-Type": route[0], "Content-Length": route[1].length});
    response.end(route[1]);
}).listen(Number(process.argv[3]), process.argv[2]);
