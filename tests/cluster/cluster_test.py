#!/usr/bin/env python3
"""Runs one scenario of a cluster in network namespaces; the script `run` makes room for it."""

import pathlib
import sys

import group_scenarios
import link_scenarios
import notes_scenarios
import shard_scenarios
import world

MODULES = (group_scenarios, link_scenarios, shard_scenarios, notes_scenarios)


def main():
    scenarios = {name: function for module in MODULES
                 for name, function in vars(module).items() if name.startswith("test_")}
    if len(sys.argv) != 3 or sys.argv[2] not in scenarios:
        print("usage: run PROGRAM SCENARIO\nscenarios:", *scenarios, sep="\n  ", file=sys.stderr)
        return 2
    world.PROGRAM = sys.argv[1]
    with world.temporary_folder() as folder, world.World(pathlib.Path(folder)) as all_of_it:
        scenarios[sys.argv[2]](all_of_it)
    print(f"{sys.argv[2]}: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
