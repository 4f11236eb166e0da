/** `strata completion`: a short script that asks `strata __complete` for every candidate. */
import { UsageError, exitCodes, type Invocation } from '../verb.ts';

const scripts: Readonly<Record<string, string>> = {
  bash: `# bash completion of strata: source <(strata completion bash)
_strata() {
  local line=\${COMP_LINE:0:COMP_POINT} current words reply
  # Not COMP_WORDS: bash cuts words at colons too, which names of images have.
  IFS=$' \\t\\n' read -r -a words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[\${#words[@]}-1]}
  local IFS=$'\\n'
  COMPREPLY=($(strata __complete -- "\${words[@]:1}" 2>/dev/null | cut -f1))
  case "\${COMPREPLY[0]}" in
    ':file') COMPREPLY=($(compgen -f -- "$current")); compopt -o filenames; return ;;
    ':folder') COMPREPLY=($(compgen -d -- "$current")); compopt -o filenames; return ;;
  esac
  # Only what follows the last cut is put in.
  reply=\${current%"\${current##*[:=]}"}
  COMPREPLY=("\${COMPREPLY[@]#"$reply"}")
}
complete -F _strata strata
`,
  zsh: `#compdef strata
# zsh completion of strata: source <(strata completion zsh)
_strata() {
  local line
  local -a lines candidates
  lines=("\${(@f)$(strata __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  case "\${lines[1]}" in
    ':file') _files; return ;;
    ':folder') _files -/; return ;;
  esac
  # A candidate ends at the first colon without a backslash; names of images have colons of their own.
  for line in "\${lines[@]}"; do
    case "$line" in
      '') ;;
      *$'\\t'*) candidates+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}") ;;
      *) candidates+=("\${line//:/\\\\:}") ;;
    esac
  done
  _describe strata candidates
}
compdef _strata strata
`,
  fish: `# fish completion of strata: strata completion fish | source
function __strata_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l lines (strata __complete -- $words[2..-1] 2>/dev/null)
  switch "$lines[1]"
    case ':file'
      __fish_complete_path (commandline -ct)
    case ':folder'
      __fish_complete_directories (commandline -ct)
    case '*'
      printf '%s\\n' $lines
  end
end
complete -c strata -f -a '(__strata_complete)'
`,
};

export async function run({ context, args }: Invocation): Promise<number> {
  const script = scripts[args[0] as string];
  if (script === undefined) throw new UsageError(`there is no completion for ${args[0]}`, 'bash, zsh and fish are known');
  context.out.write(script);
  return exitCodes.ok;
}
