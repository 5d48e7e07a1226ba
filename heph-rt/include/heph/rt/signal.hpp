#pragma once

#include <string_view>

namespace heph::rt {

/// Names a process signal that actors can receive.
enum class signal {
    interrupt,  ///< SIGINT
    terminate,  ///< SIGTERM
    quit,       ///< SIGQUIT
    hangup,     ///< SIGHUP
    user1,      ///< SIGUSR1
    user2,      ///< SIGUSR2
};

/// Gives the signal's usual name, such as "SIGTERM".
[[nodiscard]] std::string_view name_of(signal value) noexcept;

/// Tells whether the signal asks the process to stop.
[[nodiscard]] constexpr bool asks_to_stop(signal value) noexcept {
    return value == signal::interrupt || value == signal::terminate || value == signal::quit;
}

}  // namespace heph::rt
