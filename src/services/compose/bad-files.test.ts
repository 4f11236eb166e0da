/** What is wrong with a file, at its place. Each row is what `web` holds, from line 4, column 5; or a whole file. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { composeLab } from './testing/compose-lab.ts';

const service = (lines: string): string => `services:\n  web:\n    image: a:1\n    ${lines}\n`;

const ofService: readonly (readonly [string, string])[] = [
  // Keys and types.
  ['imge: b', '4:5 compose.unknownKey unknown key imge in services.web'],
  ['x-strata: {engine: xen}', '4:24 compose.wrongType services.web.x-strata.engine must be auto or qemu or uml, not the text "xen"'],
  ['x-strata: {healt: {}}', '4:16 compose.unknownKey unknown key healt in services.web.x-strata'],
  ['x-strata: {start: clone, isolation: shared}', '4:41 compose.contradiction services.web.x-strata.isolation cannot be shared with start: clone: a clone is a whole machine'],
  ['x-strata: {start: clone, engine: uml}', '4:38 compose.contradiction services.web.x-strata.engine cannot be uml with start: clone: that engine cannot copy machines'],
  ['x-strata: {start: clone, after_clone: []}', '4:43 compose.badCommand services.web.x-strata.after_clone names no program'],
  ['x-strata: {after_clone: [reseed]}', '4:29 compose.contradiction services.web.x-strata.after_clone is run in clones only, and there are none'],
  ['x-strata: {start: warm}', '4:23 compose.wrongType services.web.x-strata.start must be ordinary or clone, not the text "warm"'],
  ['x-strata-engine: qemu', ''],
  ['x-other: {anything: [1]}', ''],
  ['deploy: {x-strata: {}}', '4:14 compose.unknownKey unknown key x-strata in services.web.deploy'],
  ['deploy: {resources: {limits: {memroy: 1g}}}', '4:35 compose.unknownKey unknown key memroy in services.web.deploy.resources.limits'],
  ['user: 1000', '4:11 compose.wrongType services.web.user must be text, not the number 1000'],
  ['ports: 80', '4:12 compose.wrongType services.web.ports must be a list, not the number 80'],
  ['ports: [{published: 80}]', '4:13 compose.missingKey services.web.ports[0] lacks target'],
  ['ports: [{target: 80, publish: 81}]', '4:26 compose.unknownKey unknown key publish in services.web.ports[0]'],
  ['environment: [[a]]', '4:19 compose.wrongType services.web.environment[0] must be text, not a list'],
  ['environment: {A: {b: c}}', '4:22 compose.wrongType services.web.environment.A must be text or a number or true or false or empty, not a mapping'],
  ['volumes: [{type: bindd, source: a, target: /b}]', '4:22 compose.wrongType services.web.volumes[0].type must be bind or volume or tmpfs or cluster or npipe or image, not the text "bindd"'],
  ['depends_on: {web2: {condition: started}}', '4:36 compose.wrongType services.web.depends_on.web2.condition must be service_started or service_healthy or service_completed_successfully, not the text "started"'],
  ['healthcheck: 5', '4:18 compose.wrongType services.web.healthcheck must be a mapping, not the number 5'],
  ['extends: {file: x.yaml}', '4:14 compose.missingKey services.web.extends lacks service'],
  ['ulimits: {NOFILE: 1}', '4:15 compose.badName services.web.ulimits: the name NOFILE is not allowed'],
  // Values.
  ['restart: sometimes', '4:14 compose.wrongType services.web.restart must be "no", always, on-failure, on-failure:3 or unless-stopped, not "sometimes"'],
  ['deploy: {restart_policy: {condition: toString}}', '4:42 compose.wrongType services.web.deploy.restart_policy.condition must be none, on-failure or any, not "toString"'],
  ['restart: always:3', '4:14 compose.wrongType services.web.restart must be "no", always, on-failure, on-failure:3 or unless-stopped, not "always:3"'],
  ['mem_limit: 1x', '4:16 compose.badSize services.web.mem_limit must be a size, not "1x"'],
  ['mem_limit: 128', '4:16 compose.badSize services.web.mem_limit is 128 bytes: no container runs in less than 6m'],
  ['scale: -1', '4:12 compose.badNumber services.web.scale must be a whole number from 0 to 1000, not -1'],
  ['scale: 1.5', '4:12 compose.badNumber services.web.scale must be a whole number from 0 to 1000, not 1.5'],
  ['stop_grace_period: 10', '4:24 compose.wrongType services.web.stop_grace_period must be text, not the number 10'],
  ['stop_grace_period: 10 sec', '4:24 compose.badDuration services.web.stop_grace_period must be a duration, not "10 sec"'],
  ['healthcheck: {test: [RUN, x]}', '4:25 compose.badHealthcheck services.web.healthcheck.test must be a command'],
  ['healthcheck: {interval: 1s}', '4:5 compose.missingKey services.web.healthcheck lacks test'],
  ['healthcheck: {test: a, timeout: soon}', '4:37 compose.badDuration services.web.healthcheck.timeout must be a duration, not "soon"'],
  ['x-strata: {health: {}}', '4:24 compose.badHealthcheck services.web.x-strata.health must ask one thing'],
  ['x-strata: {health: {tcp: {port: 0}}}', '4:37 compose.badNumber services.web.x-strata.health.tcp.port must be a whole number from 1 to 65535, not 0'],
  ['ports: ["80:80:80:80"]', '4:13 compose.badPort services.web.ports[0] is no port mapping: "80:80:80:80"'],
  ['ports: ["8000-8010:80"]', '4:13 compose.badPort services.web.ports[0] publishes 11 ports for 1'],
  ['ports: ["53:53/sctp"]', '4:13 compose.badPort services.web.ports[0] has an unknown protocol: sctp'],
  ['ports: ["80:80", "80:81"]', '4:22 compose.duplicatePort port 80 of the host is published twice: by web and by web'],
  ['expose: [70000]', '4:14 compose.badPort services.web.expose[0] is no port: 70000'],
  ['platform: linux/s390x', '4:15 compose.unsupportedPlatform services.web.platform is not supported: "linux/s390x"'],
  ['platform: windows/amd64', '4:15 compose.unsupportedPlatform services.web.platform is not supported: "windows/amd64"'],
  ['pull_policy: daily', '4:18 compose.refused services.web.pull_policy cannot be "daily" yet'],
  ['command: a && b', '4:14 compose.badCommand services.web.command holds & outside of quotes, and there is no shell to obey it'],
  ['command: "a \'b"', '4:14 compose.badCommand services.web.command has a \' that is never closed'],
  ['working_dir: srv', '4:18 compose.badPath services.web.working_dir must be an absolute path inside the container, not "srv"'],
  ['hostname: a_b.c d', '4:15 compose.badName services.web.hostname is no host name: "a_b.c d"'],
  ['extra_hosts: ["a"]', '4:19 compose.badAddress services.web.extra_hosts[0] must be a name and an address, not "a="'],
  ['dns: [example.org]', '4:11 compose.badAddress services.web.dns[0] must be an address, not "example.org"'],
  ['cap_add: [NET ADMIN]', '4:15 compose.badName services.web.cap_add[0] is no capability: "NET ADMIN"'],
  ['sysctls: {vm.swappiness: 1}', '4:30 compose.refused services.web.sysctls.vm.swappiness vm.swappiness is not a setting of one container'],
  ['ulimits: {nofile: {soft: 20, hard: 10}}', '4:23 compose.contradiction services.web.ulimits.nofile has a soft limit above the hard one'],
  ['links: [other]', '4:13 compose.unknownService service web depends on other, which the file does not have'],
  // Variables.
  ['user: ${WHO:?tell me}', '4:11 compose.missingVariable the variable WHO is not set: tell me'],
  ['user: ${WHO', '4:11 compose.badVariable cannot be read as a variable: ${WHO'],
  ['mem_limit: ${MEM:?}', '4:16 compose.missingVariable the variable MEM is not set'],
  // Mounts and files.
  ['volumes: ["data:/d"]', '4:15 compose.unknownVolume services.web.volumes[0] names the volume data, which the top-level volumes lack'],
  ['volumes: [/d]', '4:15 compose.refused services.web.volumes[0] is an anonymous volume, which nobody could find again'],
  ['volumes: ["./:/d"]', '4:15 compose.bindRefused services.web.volumes[0] mounts . of the host, outside of the project: a virtual machine does not see the host\'s files'],
  ['volumes: ["./sub:/d"]', '4:15 compose.bindRefused services.web.volumes[0] mounts the folder ./sub of the host, which a virtual machine cannot see yet'],
  ['volumes: ["./f.txt:/f"]', '4:15 compose.bindRefused services.web.volumes[0] mounts the file ./f.txt to be written: what is written in a virtual machine does not come back to the host'],
  ['volumes: ["/etc/passwd:/f:ro"]', '4:15 compose.bindRefused services.web.volumes[0] mounts /etc/passwd of the host, outside of the project: a virtual machine does not see the host\'s files'],
  ['volumes: ["/var/run/docker.sock:/s"]', '4:15 compose.bindRefused services.web.volumes[0] mounts /var/run/docker.sock of the host, outside of the project: a virtual machine does not see the host\'s files'],
  ['volumes: ["./none:/f:ro"]', '4:15 compose.fileMissing services.web.volumes[0] mounts ./none, which cannot be read: there is no such file'],
  ['tmpfs: [/t, "/t:size=1m"]', '4:5 compose.duplicateMount service web has two things mounted at /t'],
  ['tmpfs: "/t:uid=5"', '4:12 compose.refused services.web.tmpfs has options that are not possible: uid'],
  ['configs: [one]', '4:15 compose.unknownConfig services.web.configs[0] names the config one, which the top-level configs lack'],
  ['secrets: [{source: one}]', '4:15 compose.unknownSecret services.web.secrets[0] names the secret one, which the top-level secrets lack'],
  ['env_file: none.env', '4:15 compose.fileMissing ./none.env cannot be read: there is no such file'],
  ['env_file: [{path: none.env, required: false}]', ''],
  // Across services.
  ['depends_on: [wbe]', '4:18 compose.unknownService service web depends on wbe, which the file does not have'],
  ['depends_on: [web]', '4:18 compose.cycle services wait for each other: web → web'],
  ['networks: [back]', '4:16 compose.unknownNetwork services.web.networks[0] names the network back, which the top-level networks lack'],
  ['deploy: {replicas: 2}\n    scale: 3', '5:5 compose.contradiction services.web: scale and deploy.replicas differ'],
  ['container_name: x\n    scale: 2', '4:21 compose.contradiction services.web.container_name names one container, but there are 2'],
];

const whole: readonly (readonly [string, string, readonly string[]])[] = [
  ['an unknown top-level key', 'service: {}\n', ['1:1 compose.unknownKey unknown key service', '1:1 compose.noServices the file has no services']],
  ['no services', 'name: a\n', ['1:1 compose.noServices the file has no services']],
  ['a text that needs quotes', 'services:\n  web:\n    image: a{b}\n    x: {y: ${Z}}\n', ['4:13 compose.notYaml Unexpected flow-map-start at node end']],
  ['a list', '- a\n', ['1:1 compose.wrongType the file must be a mapping, not a list']],
  ['a service that is text', 'services:\n  web: nginx\n', ['2:8 compose.wrongType services.web must be a mapping, not the text "nginx"']],
  ['neither image nor build', 'services:\n  web: {}\n', ['2:8 compose.missingKey service web has neither an image nor a build']],
  ['a Dockerfile alone', 'services:\n  web:\n    build: .\n', ['3:5 compose.buildNotYet services.web.build: building from a Dockerfile is not possible yet']],
  ['a name that is no host name', 'services:\n  My_Web: {image: a}\n', ['2:3 compose.badName "My_Web" cannot be a service\'s name: it is a host name too']],
  ['a name with a slash', 'services:\n  a/b: {image: a}\n', ['2:3 compose.badName services: the name a/b is not allowed']],
  ['a cycle, said once with its path', 'services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: {c: {condition: service_started}}}\n  c: {image: x, depends_on: [a]}\n', ['4:30 compose.cycle services wait for each other: a → b → c → a']],
  ['two writers', 'services:\n  a: {image: x, volumes: ["d:/d"]}\n  b:\n    image: x\n    volumes:\n      - d:/d:ro\nvolumes: {d: }\n', ['6:9 compose.volumeTwoWriters volume d with two writers: services a and b both mount it, and a volume belongs to one container']],
  ['replicas that write', 'services:\n  a: {image: x, volumes: ["d:/d"], scale: 2}\nvolumes: {d: }\n', ['2:27 compose.volumeTwoWriters volume d with two writers: service a has 2 replicas, and a volume belongs to one container']],
  ['a host port twice', 'services:\n  a: {image: x, ports: ["80:80"]}\n  b: {image: x, ports: ["127.0.0.1:80:1"]}\n', ['3:25 compose.duplicatePort port 80 of the host is published twice: by a and by b']],
  ['an alias that is a service', 'services:\n  a: {image: x}\n  b: {image: x, container_name: a}\n', ['3:33 compose.duplicateName a would be a name of both a and b']],
  ['waiting for a health that is off', 'services:\n  a: {image: x, healthcheck: {disable: true}}\n  b: {image: x, depends_on: {a: {condition: service_healthy}}}\n', ['3:30 compose.contradiction service b waits until a is healthy, but the health check of a is disabled']],
  ['a volume driver', 'services: {a: {image: x, volumes: ["d:/d"]}}\nvolumes:\n  d: {driver: nfs}\n', ['3:15 compose.refused volumes.d.driver cannot be "nfs"']],
  ['a network driver', 'services: {a: {image: x}}\nnetworks:\n  n: {driver: overlay}\n', ['3:15 compose.refused networks.n.driver cannot be "overlay"']],
  ['a volume\'s size', 'services: {a: {image: x, volumes: ["d:/d"]}}\nvolumes:\n  d: {x-strata: {size: 1k}}\n', ['3:24 compose.badSize volumes.d.x-strata.size must be a size from 16m to 64t, not "1k"']],
  ['a secret with no source', 'services: {a: {image: x, secrets: [s]}}\nsecrets:\n  s: {}\n', ['3:3 compose.badFile secrets.s must have one of file, environment']],
  ['a secret\'s variable', 'services: {a: {image: x, secrets: [s]}}\nsecrets:\n  s: {environment: NONE}\n', ['3:20 compose.missingVariable secrets.s takes the variable NONE, which is not set']],
  ['a config\'s file', 'services: {a: {image: x, configs: [s]}}\nconfigs:\n  s: {file: none}\n', ['3:13 compose.fileMissing configs.s: ./none cannot be read: there is no such file']],
  ['a volume of a service whose replicas are clones', 'services: {a: {image: x, volumes: ["d:/d"], x-strata: {start: clone}}}\nvolumes: {d: }\n', ['1:63 compose.contradiction services.a.x-strata.start cannot be clone with the volume at /d: a volume belongs to one machine']],
  ['a recipe outside of its context', 'services:\n  a:\n    build:\n      context: .\n      x-strata: {debian: {suite: bookworm, copy: [{from: ../x, to: /x}, {from: none, to: /n}, {from: f.txt, to: n}]}}\n', [
    '5:58 compose.badPath services.a.build.x-strata.debian.copy[0].from must lie in the build context, not "../x"', '5:80 compose.fileMissing services.a.build.x-strata.debian.copy[1].from is not in the build context: ./none', '5:113 compose.badPath services.a.build.x-strata.debian.copy[2].to must be an absolute path inside the image, not "n"',
  ]],
  ['a recipe with a wrong suite', 'services:\n  a: {build: {context: ., x-strata: {debian: {suite: sarge}}}}\n', ['2:54 compose.wrongType services.a.build.x-strata.debian.suite must be bookworm or trixie, not the text "sarge"']],
];

const files = { 'f.txt': 'x', 'sub/x': 'x' };

describe('what is wrong with a file', () => {
  for (const [lines, expected] of ofService) {
    test(`[C10] ${lines.replaceAll(/\s+/g, ' ')}`, async () => {
      using lab = composeLab({ ...files, 'compose.yaml': service(lines) });
      assert.deepEqual(await lab.errors(), expected === '' ? [] : [`compose.yaml:${expected}`]);
    });
  }
  for (const [what, text, expected] of whole) {
    test(`[C15] ${what}`, async () => {
      using lab = composeLab({ ...files, 'compose.yaml': text });
      assert.deepEqual(await lab.errors(), expected.map((one) => `compose.yaml:${one}`));
    });
  }

  test('[C11] all that is wrong is found in one reading, in the order of the text', async () => {
    using lab = composeLab('services:\n  web:\n    image: a\n    imge: b\n    user: 5\n    restart: x\n    depends_on: [dbb]\n    cpu_shares: 4\n    ports: ["1:2:3:4"]\n    environment: {B: "${B:?}"}\n  db: {image: c, volumes: ["d:/d"]}\n  api: {image: "a b", volumes: ["d:/d"]}\nvolumes: {d: {driver_opts: {a: b}}}\n');
    assert.deepEqual((await lab.errors()).map((one) => one.split(' ').slice(0, 2).join(' ')), [
      'compose.yaml:4:5 compose.unknownKey', 'compose.yaml:5:11 compose.wrongType', 'compose.yaml:6:14 compose.wrongType', 'compose.yaml:7:18 compose.unknownService', 'compose.yaml:8:5 compose.refused', 'compose.yaml:9:13 compose.badPort',
      'compose.yaml:10:22 compose.missingVariable', 'compose.yaml:12:16 compose.badImage', 'compose.yaml:13:15 compose.refused',
    ]);
  });

  test('[C10] after merging, an error stands in the file that says it', async () => {
    using lab = composeLab({ 'compose.yaml': 'services:\n  web: {image: a, ports: ["80:80"]}\n', 'compose.override.yaml': 'services:\n  web:\n    restart: x\n    ports:\n      - "90:x"\n' });
    assert.deepEqual((await lab.errors()).map((one) => one.split(' ')[0]), ['compose.override.yaml:3:14', 'compose.override.yaml:5:9']);
  });

  test('[C10] the error itself bears the first place, its code and the advice', async () => {
    using lab = composeLab(service('imge: b'));
    await assert.rejects(lab.read(), { code: 'compose.unknownKey', kind: 'invalid', advice: 'did you mean image?', place: { file: `${lab.folder}/compose.yaml`, line: 4, column: 5 } });
  });

  test('[C3] a variable that is not set is a warning at its place', async () => {
    using lab = composeLab(service('environment: {A: "x${NONE}"}'));
    assert.deepEqual(await lab.warnings(), ['compose.yaml:4:22 compose.unsetVariable the variable NONE is not set; nothing is put in its place']);
    assert.deepEqual((await lab.service('web')).environment, { A: 'x' });
  });

  test('[C15] services that share no network are said to reach each other', async () => {
    using lab = composeLab('services:\n  a: {image: x, networks: [front]}\n  b: {image: x, networks: [front, back]}\n  c: {image: x, networks: [back]}\nnetworks: {front: , back: }\n');
    assert.deepEqual(await lab.warnings(), ['compose.yaml:5:1 compose.networkNotSeparate a and c share no network, and can reach each other all the same: the services of an app are not kept apart yet']);
  });
});
