"""Scripts with which shells complete the commands, options and files of ``authsvc-license``."""

from __future__ import annotations

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Mapping

BASH = """\
_authsvc_license() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words=
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    elif [[ $word == -* ]]; then
        case ${{COMP_WORDS[1]}} in
{cases}
        esac
    fi
    [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o bashdefault -o default -F _authsvc_license authsvc-license
"""

ZSH = """\
#compdef authsvc-license
_authsvc_license() {{
    if (( CURRENT == 2 )); then
        compadd -- {commands}
    elif [[ $words[CURRENT] == -* ]]; then
        case $words[2] in
{cases}
        esac
    else
        _files
    fi
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _authsvc_license "$@"
else
    compdef _authsvc_license authsvc-license
fi
"""


def script(shell: str, commands: Mapping[str, tuple[str, ...]]) -> str:
    """Return the script for a shell; wherever no command or option is possible, it offers files.

    Args:
        shell: ``bash``, ``zsh`` or ``fish``.
        commands: the options of each command.
    """
    if shell == "fish":
        lines = [f"complete -c authsvc-license -n __fish_use_subcommand -f -a '{' '.join(commands)}'"]
        lines += [
            f"complete -c authsvc-license -n '__fish_seen_subcommand_from {name}' {_fish_option(option)}"
            for name, options in commands.items()
            for option in options
        ]
        return "\n".join(lines) + "\n"
    template, case = (BASH, '{}) words="{}" ;;') if shell == "bash" else (ZSH, "{}) compadd -- {} ;;")
    cases = "\n".join(" " * 12 + case.format(name, " ".join(options)) for name, options in commands.items())
    return template.format(commands=" ".join(commands), cases=cases)


def _fish_option(option: str) -> str:
    return f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
