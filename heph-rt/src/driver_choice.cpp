#include "driver_choice.hpp"

#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <heph/core/log.hpp>

#include "epoll_driver.hpp"
#include "refusal.hpp"
#include "uring_driver.hpp"

namespace heph::rt {

std::string_view name_of(driver_kind kind) noexcept {
    switch (kind) {
        case driver_kind::automatic: return "automatic";
        case driver_kind::io_uring: return "io_uring";
        case driver_kind::epoll: return "epoll";
    }
    return "unknown driver";
}

}  // namespace heph::rt

namespace heph::rt::detail {

namespace {

// Tells whether another driver is worth a try. Want of descriptors concerns it as well.
constexpr bool may_be_replaced(int refused) noexcept {
    return refused != EMFILE && refused != ENFILE;
}

// Says it once in a process, however many runtimes and workers there are.
void warn_once(const error& refusal) {
    static std::once_flag said;
    std::call_once(said, [&refusal] {
        log(log_level::warning, refusal.message() + "; epoll is used instead, which is slower");
    });
}

// The end of a ring interrupts the next blocking call of the thread that had it.
int probe_apart(unsigned entries) {
    int refused = 0;
    try {
        std::thread([&refused, entries] { refused = probe_io_uring(entries); }).join();
    } catch (const std::system_error&) { refused = probe_io_uring(entries); }
    return refused;
}

}  // namespace

std::expected<driver_kind, error> parse_driver(const char* given) {
    const std::string_view name = given != nullptr ? given : "";
    if (name.empty() || name == "auto" || name == "automatic") { return driver_kind::automatic; }
    if (name == "uring" || name == "io_uring") { return driver_kind::io_uring; }
    if (name == "epoll") { return driver_kind::epoll; }
    return std::unexpected(
        error(std::make_error_code(std::errc::invalid_argument),
              "HEPH_DRIVER is \"" + std::string(name) +
                  "\", which is no driver; set it to auto, uring or epoll, or not at all"));
}

std::expected<driver_kind, error> choose_driver(driver_kind asked, std::size_t ring_entries) {
    if (asked == driver_kind::automatic) {
        const auto from_environment =
            parse_driver(std::getenv("HEPH_DRIVER"));  // NOLINT(concurrency-mt-unsafe)
        if (!from_environment) { return from_environment; }
        asked = *from_environment;
    }
    if (asked == driver_kind::epoll) { return asked; }
    const int refused = probe_apart(static_cast<unsigned>(ring_entries));
    if (refused == 0) { return asked; }
    error refusal = explain_refusal(refused);
    if (asked == driver_kind::io_uring || !may_be_replaced(refused)) {
        return std::unexpected(std::move(refusal));
    }
    warn_once(refusal);
    return driver_kind::epoll;
}

std::expected<std::unique_ptr<driver>, error> make_driver(worker_link& link,
                                                          const driver_settings& settings) {
    try {
        if (settings.source != nullptr) { return settings.source->make_driver(link, settings); }
        if (settings.kind != driver_kind::epoll) {
            auto made = uring_driver::make(link, settings);
            if (made) { return std::move(*made); }
            error refusal = explain_refusal(made.error());
            if (settings.kind == driver_kind::io_uring || !may_be_replaced(made.error())) {
                return std::unexpected(std::move(refusal));
            }
            warn_once(refusal);
        }
        auto made = epoll_driver::make(link, settings);
        if (made) { return std::move(*made); }
        const std::error_code code(made.error(), std::system_category());
        return std::unexpected(error(code, "a worker cannot use epoll: " + code.message()));
    } catch (const std::bad_alloc&) {
        return std::unexpected(error(std::make_error_code(std::errc::not_enough_memory),
                                     "not enough memory for a worker"));
    }
}

}  // namespace heph::rt::detail
