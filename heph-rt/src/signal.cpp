#include <heph/rt/signal.hpp>

namespace heph::rt {

std::string_view name_of(signal value) noexcept {
    switch (value) {
        case signal::interrupt: return "SIGINT";
        case signal::terminate: return "SIGTERM";
        case signal::quit: return "SIGQUIT";
        case signal::hangup: return "SIGHUP";
        case signal::user1: return "SIGUSR1";
        case signal::user2: return "SIGUSR2";
    }
    return "unknown signal";
}

}  // namespace heph::rt
