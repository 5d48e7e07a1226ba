#!/usr/bin/env python3
"""Runs one scenario against real processes of the notes program, or lists them all."""

import sys

import linked_scenarios
import page_scenarios
import service
import single_scenarios
import start_scenarios

MODULES = (single_scenarios, linked_scenarios, start_scenarios, page_scenarios)


def main():
    all_scenarios = {name: function for module in MODULES
                     for name, function in vars(module).items() if name.startswith("test_")}
    if len(sys.argv) == 2 and sys.argv[1] == "--list":
        print("\n".join(all_scenarios))
        return 0
    if len(sys.argv) != 3 or sys.argv[2] not in all_scenarios:
        print("usage: run.py PROGRAM SCENARIO\nscenarios:", *all_scenarios, file=sys.stderr)
        return 2
    service.PROGRAM = sys.argv[1]
    with service.World() as world:
        all_scenarios[sys.argv[2]](world)
    print(f"{sys.argv[2]}: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
