#pragma once

// How the program ends.

#include <string>

namespace notes {

/// Names the reasons for which the program ends by itself; 0 is an orderly stop.
enum class exit_status : int {
    success = 0,
    failure = 1,  ///< The runtime could not run: no io_uring, no threads.
    usage = 2,    ///< The command line is wrong.
    data = 3,     ///< The data directory or the log in it cannot be used.
    address = 4,  ///< An address to listen on cannot be had.
    secret = 5,   ///< The secret file cannot be used.
};

/// Says why the program does not serve (any more), in one line.
struct refusal {
    exit_status status = exit_status::failure;
    std::string text;
};

}  // namespace notes
