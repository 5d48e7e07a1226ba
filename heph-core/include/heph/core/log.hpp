#pragma once

// What the libraries, and the actors, tell the operator.

#include <cstdint>
#include <string_view>

namespace heph {

enum class log_level : std::uint8_t { debug, info, warning, error, critical };

/// Names a level as `HEPH_LOG` does.
[[nodiscard]] constexpr std::string_view to_string(log_level level) noexcept {
    switch (level) {
        case log_level::debug: return "debug";
        case log_level::info: return "info";
        case log_level::warning: return "warning";
        case log_level::error: return "error";
        case log_level::critical: break;
    }
    return "critical";
}

/// Says which actor a line is about. *Lifetime*: borrows the name.
class log_actor {
public:
    constexpr log_actor() noexcept = default;
    /// Takes the actor's name, and its id: the hash of its references' `id()`; 0 when unknown.
    explicit constexpr log_actor(std::string_view name, std::uint64_t id = 0) noexcept
        : name_(name), id_(id) {}

    [[nodiscard]] constexpr std::string_view name() const noexcept { return name_; }
    [[nodiscard]] constexpr std::uint64_t id() const noexcept { return id_; }
    /// Tells whether neither is known.
    [[nodiscard]] constexpr bool empty() const noexcept { return name_.empty() && id_ == 0; }

private:
    std::string_view name_;
    std::uint64_t id_ = 0;
};

/// Is one line of the log, in its parts. *Lifetime*: borrows the texts: keep copies.
class log_record {
public:
    constexpr log_record(log_level level, std::string_view message, log_actor actor = {}) noexcept
        : message_(message), actor_(actor), level_(level) {}

    [[nodiscard]] constexpr log_level level() const noexcept { return level_; }
    [[nodiscard]] constexpr std::string_view message() const noexcept { return message_; }
    /// Gives whom the line is about; `empty()` when it is about no actor.
    [[nodiscard]] constexpr const log_actor& actor() const noexcept { return actor_; }

    /// Says that the message names the actor itself, so that a line of text need not do so again.
    [[nodiscard]] constexpr log_record naming_actor() const noexcept {
        log_record named = *this;
        named.names_actor_ = true;
        return named;
    }
    [[nodiscard]] constexpr bool names_actor() const noexcept { return names_actor_; }

private:
    std::string_view message_;
    log_actor actor_;
    log_level level_;
    bool names_actor_ = false;
};

/// Writes one line to the log.
///
/// Goes to the spdlog logger named "heph": the program's own, if it registered one before the first
/// line; otherwise one that writes to stderr, at the level that the environment variable `HEPH_LOG`
/// names (trace, debug, info, warning, error, critical, off; info when unset, or anything else).
/// There, what is known of the actor and not named in the message follows it: `text actor=NAME
/// id=1f`.
/// *Thread safety*: safe.
void log(const log_record& record) noexcept;

/// Writes one line that is about no actor.
void log(log_level level, std::string_view message) noexcept;

/// Writes one line about an actor.
void log(log_level level, std::string_view message, log_actor actor) noexcept;

/// Tells whether a line of this level would be written, so that a costly one need not be made. A
/// handler takes all levels. *Thread safety*: safe.
[[nodiscard]] bool log_enabled(log_level level) noexcept;

/// Is a function that takes log lines in place of spdlog: `void(const log_record&) noexcept`, or
/// `void(log_level, std::string_view) noexcept` for one that wants no fields. Called from any
/// thread, also from several at once.
class log_handler {
public:
    using record_function = void (*)(const log_record& record) noexcept;
    using line_function = void (*)(log_level level, std::string_view message) noexcept;

    /// Stands for spdlog. Also made of a null pointer.
    constexpr log_handler() noexcept = default;
    // NOLINTBEGIN(google-explicit-constructor): a function is a handler.
    constexpr log_handler(decltype(nullptr)) noexcept {}
    constexpr log_handler(record_function function) noexcept : takes_record_(function) {}
    constexpr log_handler(line_function function) noexcept : takes_line_(function) {}
    // NOLINTEND(google-explicit-constructor)

    /// Tells whether it is a function.
    [[nodiscard]] constexpr explicit operator bool() const noexcept {
        return takes_record_ != nullptr || takes_line_ != nullptr;
    }

    /// Gives a line to the function. *Requires*: it is one.
    void operator()(const log_record& record) const noexcept {
        if (takes_record_ != nullptr) {
            takes_record_(record);
        } else {
            takes_line_(record.level(), record.message());
        }
    }

    friend constexpr bool operator==(const log_handler&, const log_handler&) noexcept = default;

private:
    record_function takes_record_ = nullptr;
    line_function takes_line_ = nullptr;
};

/// Sends the log elsewhere; null sends it to spdlog again. Gives the previous handler. A line that
/// another thread is about to write may still reach that one.
/// *Thread safety*: safe.
log_handler set_log_handler(log_handler handler) noexcept;

/// Writes an actor's own lines, with its name and id.
///
///     heph::logger log("counter", ctx.self().id().hash());
///     log.info("counting");
///
/// *Lifetime*: borrows the name. *Thread safety*: safe.
class logger {
public:
    explicit constexpr logger(log_actor actor) noexcept : actor_(actor) {}
    explicit constexpr logger(std::string_view name, std::uint64_t id = 0) noexcept
        : actor_(name, id) {}

    void debug(std::string_view message) const noexcept { write(log_level::debug, message); }
    void info(std::string_view message) const noexcept { write(log_level::info, message); }
    void warning(std::string_view message) const noexcept { write(log_level::warning, message); }
    void error(std::string_view message) const noexcept { write(log_level::error, message); }
    void critical(std::string_view message) const noexcept { write(log_level::critical, message); }

private:
    void write(log_level level, std::string_view message) const noexcept {
        log(log_record(level, message, actor_));
    }

    log_actor actor_;
};

}  // namespace heph
