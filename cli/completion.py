"""tocsin completion bash|zsh|fish: what a shell reads, so that Tab completes commands and options.

tocsin completion bash >> ~/.bashrc
tocsin completion zsh >> ~/.zshrc
tocsin completion fish > ~/.config/fish/completions/tocsin.fish
"""

import argparse

SHELLS = ("bash", "zsh", "fish")
HELP = "print what a shell reads to complete commands"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS)


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["tocsin"], shell=arguments.shell))
    return 0
