"""What the command line can do, a file for each kind. Imports inside the commands keep the light ones quick."""

from imgrec.commands import background, networks, pictures, training
from imgrec.commands.command import REGISTERED, Command

COMMANDS: dict[str, Command] = {
    name: command
    for kind in (pictures, training, networks, background)
    for name, command in REGISTERED.items()
    if command.run.__module__ == kind.__name__
}
