// An OpenID provider to test against: the certified oidc-provider, anybody may sign in under any name.
import Provider from "oidc-provider";

const [redirect, ...rest] = process.argv.slice(2);
let port = Number(rest[0] ?? 0);
const start = () => new Promise((resolve) => {
  const listener = import("node:http").then((http) => {
    const server = http.createServer((request, response) => callback(request, response));
    server.listen(port, "127.0.0.1", () => { port = server.address().port; resolve(server); });
  });
  return listener;
});
let callback = (request, response) => response.writeHead(503).end();
await start();
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: "imaging-hub", client_secret: "a secret of the tests", redirect_uris: [redirect],
    post_logout_redirect_uris: [new URL("/login", redirect).href] }],
  pkce: { required: () => true },
  cookies: { keys: ["only for tests"] },
});
callback = provider.callback();
console.log(port);
