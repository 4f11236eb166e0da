/**
 * The systemd unit of the daemon. KillMode=process: machines, gateway and edge outlive the daemon on
 * purpose. Delegate=yes: it makes cgroups of its own below its unit. Type=exec: readiness is asked on
 * the API (`/readyz`), which Node can serve without a notify socket.
 */
export interface UnitFacts {
  readonly instance: string;
  /** argv of the daemon, absolute. */
  readonly argv: readonly string[];
  /** STRATA_… variables that differ from the defaults, and Node's compile cache. */
  readonly environment: Readonly<Record<string, string>>;
}

export const unitName = (instance: string): string => (instance === 'strata' ? 'strata.service' : `strata-${instance}.service`);

/** Text of the unit file. */
export function systemdUnit(facts: UnitFacts): string {
  const environment = Object.entries(facts.environment).map(([name, value]) => `Environment=${quote(`${name}=${value}`)}`);
  return [
    '[Unit]',
    `Description=Strata${facts.instance === 'strata' ? '' : ` (${facts.instance})`}: runs Compose apps inside virtual machines`,
    'After=network-online.target',
    'Wants=network-online.target',
    '',
    '[Service]',
    'Type=exec',
    `ExecStart=${facts.argv.map(quote).join(' ')}`,
    ...environment,
    'Restart=always',
    'RestartSec=1',
    'KillMode=process',
    'Delegate=yes',
    'TasksMax=infinity',
    'LimitNOFILE=1048576',
    'TimeoutStopSec=30',
    'OOMScoreAdjust=-900',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n');
}

/** systemd.syntax(7): quotes, backslashes, specifiers and variables are escaped. */
function quote(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /[\s"'\\]/.test(word) ? `"${escaped}"` : escaped;
}
