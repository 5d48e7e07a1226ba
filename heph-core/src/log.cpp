#include <atomic>
#include <cstdlib>
#include <memory>

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <heph/core/log.hpp>

namespace heph {

namespace {

constinit std::atomic<log_handler> current_handler{nullptr};

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

std::shared_ptr<spdlog::logger> find_logger() {
    if (auto registered = spdlog::get("heph")) { return registered; }
    auto logger = spdlog::stderr_color_mt("heph");
    // Read once, before anything in here could change the environment.
    const char* level = std::getenv("HEPH_LOG");  // NOLINT(concurrency-mt-unsafe)
    logger->set_level(level != nullptr ? spdlog::level::from_str(level) : spdlog::level::info);
    return logger;
}

}  // namespace

void log(log_level level, std::string_view message) noexcept {
    if (log_handler handler = current_handler.load(std::memory_order_acquire)) {
        handler(level, message);
        return;
    }
    try {
        // Never destroyed: actors may log while the program's statics go away.
        static auto& logger = *new std::shared_ptr<spdlog::logger>(find_logger());
        logger->log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
    } catch (...) {
        // There is nobody left to tell.
    }
}

log_handler set_log_handler(log_handler handler) noexcept {
    return current_handler.exchange(handler, std::memory_order_acq_rel);
}

}  // namespace heph
