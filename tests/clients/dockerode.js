// A program that uses dockerode. It prints one JSON document of what it has seen; the socket is the argument.
'use strict';
const Docker = require('dockerode');
const { PassThrough } = require('stream');

const docker = new Docker({ socketPath: process.argv[2] });
const seen = { events: [] };

async function text(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function demultiplexed(stream) {
  const out = new PassThrough(), err = new PassThrough();
  docker.modem.demuxStream(stream, out, err);
  stream.on('end', () => { out.end(); err.end(); });
  return Promise.all([text(out), text(err)]);
}

async function main() {
  const events = await docker.getEvents({ filters: { type: ['network'], network: ['n1'] } });
  let last;
  const destroyed = new Promise((resolve) => { last = resolve; });
  events.on('data', (line) => {
    for (const each of line.toString().trim().split('\n')) {
      const event = JSON.parse(each);
      seen.events.push(event.Action);
      if (event.Action === 'destroy') last();
    }
  });
  seen.version = (await docker.version()).ApiVersion;
  const network = await docker.createNetwork({
    Name: 'n1', IPAM: { Config: [{ Subnet: '10.85.0.0/24' }] }, Labels: { a: 'b' },
  });
  seen.networks = (await docker.listNetworks({ filters: { label: ['a=b'] } })).map((each) => each.Name);
  await docker.createNetwork({ Name: 'n2', IPAM: { Config: [{ Subnet: '10.85.0.0/24' }] } })
    .catch((error) => { seen.refused = [error.statusCode, error.json.message]; });
  const container = await docker.createContainer({
    Image: 'bb', name: 'web', Cmd: ['sh', '-c', 'echo out; echo err >&2; sleep 300'], ExposedPorts: { '80/tcp': {} },
    HostConfig: { NetworkMode: 'n1', PortBindings: { '80/tcp': [{ HostPort: '8085' }] } },
    NetworkingConfig: { EndpointsConfig: { n1: { IPAMConfig: { IPv4Address: '10.85.0.9' }, Aliases: ['www'] } } },
  });
  await container.start();
  const settings = (await container.inspect()).NetworkSettings;
  seen.address = settings.Networks.n1.IPAddress;
  seen.ports = settings.Ports['80/tcp'][0];
  const exec = await container.exec({
    Cmd: ['sh', '-c', 'cat; echo err >&2; exit 5'], AttachStdin: true, AttachStdout: true, AttachStderr: true,
  });
  const stream = await exec.start({ hijack: true, stdin: true });
  stream.end('data');
  seen.exec = await demultiplexed(stream);
  seen.code = (await exec.inspect()).ExitCode;
  seen.logs = (await container.logs({ stdout: true, stderr: false })).subarray(8).toString();
  const followed = demultiplexed(await container.logs({ stdout: true, stderr: true, follow: true }));
  await container.stop({ t: 0 });
  seen.followed = await followed;
  seen.waited = (await container.wait()).StatusCode;
  await container.remove();
  const [result, ran] = await docker.run('bb', ['sh', '-c', 'exit 4'], new PassThrough());
  seen.run = result.StatusCode;
  await ran.remove();
  await network.remove();
  await destroyed;
  events.destroy();
  seen.left = (await docker.listContainers({ all: true })).length;
  console.log(JSON.stringify(seen));
}

main().catch((error) => { console.error(error); process.exit(1); });
