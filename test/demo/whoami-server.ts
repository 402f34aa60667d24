/** `whoami-server.ts PORT`: tells each caller the address it came from. Prints a line when it listens. */
import { createServer } from 'node:net';

const server = createServer((socket) => {
  const address = socket.remoteAddress ?? '';
  // The socket takes both families, so IPv4 callers come as ::ffff:10.1.0.5.
  socket.end(address.replace(/^::ffff:/, ''));
});
server.listen({ host: '::', port: Number(process.argv[2]) }, () => process.stdout.write('listening\n'));
