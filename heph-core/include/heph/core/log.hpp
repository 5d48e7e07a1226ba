#pragma once

// What the libraries tell the operator.

#include <string_view>

namespace heph {

enum class log_level { debug, info, warning, error, critical };

/// Writes one line to the log.
///
/// Goes to the spdlog logger named "heph": the program's own, if it registered one before the first
/// line; otherwise one that writes to stderr, at the level that the environment variable `HEPH_LOG`
/// names (trace, debug, info, warning, error, critical, off; info when unset).
/// *Thread safety*: safe.
void log(log_level level, std::string_view message) noexcept;

/// Takes a log line. Called from any thread.
using log_handler = void (*)(log_level level, std::string_view message) noexcept;

/// Sends the log elsewhere; null sends it to spdlog again. Gives the previous handler.
/// *Thread safety*: safe.
log_handler set_log_handler(log_handler handler) noexcept;

}  // namespace heph
