"""Commands with which the dashboard starts processes of its own; their messages go into log files."""

from __future__ import annotations

import json

from imgrec.commands.command import NAME, RUN, argument, command
from imgrec.progress import stopping
from imgrec.recipe import one_of


@command("carry out a queued run (used by the dashboard)", RUN)
def work(options) -> None:
    from imgrec.runs import open_run
    from imgrec.worker import work as carry_out

    run = open_run(options.name)
    with stopping(run):
        for _ in carry_out(run, process=True):
            pass


@command("classify a folder or an archive (used by the dashboard)", argument("name", metavar="JOB"))
def classify(options) -> None:
    from imgrec.bulk import find
    from imgrec.bulk import work as carry_out

    if find(options.name) is None:
        raise ValueError(f"There is no folder or archive to classify called {options.name!r}.")
    carry_out(options.name)


@command("carry out a study of a data set (used by the dashboard)", argument("kind"), NAME, argument("options"))
def study(options) -> None:
    from imgrec.studies import STUDIES
    from imgrec.tasks import work_study

    one_of("kind", options.kind, STUDIES)
    work_study(options.kind, options.name, process=True, **json.loads(options.options))


@command("carry out an import or a download (used by the dashboard)", NAME)
def bring(options) -> None:
    from imgrec.tasks import work_bring

    work_bring(options.name)
