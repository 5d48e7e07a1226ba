#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <heph/core/log.hpp>

namespace heph {

namespace {

constinit std::mutex handler_mutex;
constinit log_handler current_handler;  // Guarded by the mutex, but called without it.

log_handler get_handler() noexcept {
    const std::scoped_lock lock(handler_mutex);
    return current_handler;
}

spdlog::level::level_enum to_spdlog(log_level level) noexcept {
    switch (level) {
        case log_level::debug: return spdlog::level::debug;
        case log_level::info: return spdlog::level::info;
        case log_level::warning: return spdlog::level::warn;
        case log_level::error: return spdlog::level::err;
        case log_level::critical: break;
    }
    return spdlog::level::critical;
}

// spdlog takes any text it does not know for "off".
bool is_level(const std::string& text) {
    return spdlog::level::from_str(text) != spdlog::level::off || text == "off";
}

std::shared_ptr<spdlog::logger> find_logger() {
    if (auto registered = spdlog::get("heph")) { return registered; }
    auto made = spdlog::stderr_color_mt("heph");
    // Read once, before anything in here could change the environment.
    const char* given = std::getenv("HEPH_LOG");  // NOLINT(concurrency-mt-unsafe)
    const std::string level = given != nullptr ? given : "";
    made->set_level(level.empty() || !is_level(level) ? spdlog::level::info
                                                      : spdlog::level::from_str(level));
    if (!level.empty() && !is_level(level)) {
        made->warn(
            "HEPH_LOG is \"{}\", which is none of trace, debug, info, warning, error, critical "
            "and off; taking info",
            level);
    }
    return made;
}

spdlog::logger& spdlog_logger() {
    // Never destroyed: actors may log while the program's statics go away.
    static auto& found = *new std::shared_ptr<spdlog::logger>(find_logger());
    return *found;
}

void append_actor(std::string& line, const log_record& record) {
    const log_actor& actor = record.actor();
    if (!actor.name().empty() && !record.names_actor()) {
        line.append(" actor=").append(actor.name());
    }
    if (actor.id() != 0) {
        std::array<char, 16> digits{};
        const auto end =
            std::to_chars(digits.data(), digits.data() + digits.size(), actor.id(), 16);
        line.append(" id=").append(digits.data(), end.ptr);
    }
}

}  // namespace

void log(const log_record& record) noexcept {
    if (const log_handler handler = get_handler()) {
        handler(record);
        return;
    }
    try {
        spdlog::logger& to = spdlog_logger();
        const auto level = to_spdlog(record.level());
        if (!to.should_log(level)) { return; }
        const std::string_view message = record.message();
        if (record.actor().empty()) {
            to.log(level, spdlog::string_view_t(message.data(), message.size()));
        } else {
            std::string line(message);
            append_actor(line, record);
            to.log(level, spdlog::string_view_t(line.data(), line.size()));
        }
    } catch (...) {
        // There is nobody left to tell.
    }
}

void log(log_level level, std::string_view message) noexcept { log(log_record(level, message)); }

void log(log_level level, std::string_view message, log_actor actor) noexcept {
    log(log_record(level, message, actor));
}

bool log_enabled(log_level level) noexcept {
    if (get_handler()) { return true; }
    try {
        return spdlog_logger().should_log(to_spdlog(level));
    } catch (...) { return false; }
}

log_handler set_log_handler(log_handler handler) noexcept {
    const std::scoped_lock lock(handler_mutex);
    return std::exchange(current_handler, handler);
}

}  // namespace heph
