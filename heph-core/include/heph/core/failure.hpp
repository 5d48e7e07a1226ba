#pragma once

// What went wrong in an actor, as its supervisor sees it.

#include <concepts>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace heph {

/// Says when an actor failed.
enum class failure_stage {
    running,     ///< While it ran: it returned an error, or an exception left it.
    restarting,  ///< A new one could not be made.
};

namespace detail {

/// Gives the name of a type as it is written in source code.
[[nodiscard]] std::string type_name(const std::type_info& type);
[[nodiscard]] std::string describe_exception(const std::exception_ptr& exception);
[[nodiscard]] std::string exception_type_name(const std::exception_ptr& exception);

/// Gives the text of an error of any type.
template <typename E>
std::string describe_error(const void* erased) {
    const E& error = *static_cast<const E*>(erased);
    if constexpr (std::is_pointer_v<E>) {
        if (error == nullptr) { return "a null pointer"; }
    }
    if constexpr (std::convertible_to<const E&, std::string_view>) {
        return std::string(std::string_view(error));
    } else if constexpr (requires {
                             { error.message() } -> std::convertible_to<std::string>;
                         }) {
        return error.message();
    } else if constexpr (requires {
                             { error.what() } -> std::convertible_to<std::string>;
                         }) {
        return error.what();
    } else if constexpr (requires {
                             { to_string(error) } -> std::convertible_to<std::string>;
                         }) {
        return std::string(to_string(error));
    } else if constexpr (std::is_enum_v<E>) {
        return type_name(typeid(E)) + " " +
               std::to_string(static_cast<long long>(std::to_underlying(error)));
    } else if constexpr (std::is_arithmetic_v<E>) {
        return std::to_string(error);
    } else {
        return "an error of type " + type_name(typeid(E));
    }
}

}  // namespace detail

/// Describes to a supervisor what made an actor fail: an error it returned, or an exception that
/// left it. It formats nothing until it is asked to.
///
/// *Lifetime*: an error is only referred to: keep what is needed of it, not the failure.
class failure {
public:
    /// Refers to an error, which must outlive the failure.
    template <typename E>
        requires(!std::same_as<E, failure> && !std::same_as<E, std::exception_ptr>)
    explicit failure(const E& error, std::string_view actor_name = {},
                     failure_stage stage = failure_stage::running,
                     std::uint64_t actor_id = 0) noexcept
        : error_(&error),
          error_type_(&typeid(E)),
          describe_(&detail::describe_error<E>),
          actor_name_(actor_name),
          actor_id_(actor_id),
          stage_(stage) {}

    /// Holds an exception.
    explicit failure(std::exception_ptr exception, std::string_view actor_name = {},
                     failure_stage stage = failure_stage::running,
                     std::uint64_t actor_id = 0) noexcept
        : exception_(std::move(exception)),
          actor_name_(actor_name),
          actor_id_(actor_id),
          stage_(stage) {}

    /// Gives the error, if the actor returned one and it is exactly an `E`; null otherwise.
    template <typename E>
    [[nodiscard]] const E* error() const noexcept {
        if (error_ == nullptr || *error_type_ != typeid(E)) { return nullptr; }
        return static_cast<const E*>(error_);
    }

    /// Gives the exception that left the actor; null when it returned an error.
    [[nodiscard]] const std::exception_ptr& exception() const noexcept { return exception_; }
    [[nodiscard]] bool is_exception() const noexcept { return error_ == nullptr; }

    /// Gives the text of the error (`message()`, `what()`, `to_string`, or its own characters), or
    /// the exception's `what()`.
    [[nodiscard]] std::string message() const {
        return is_exception() ? detail::describe_exception(exception_) : describe_(error_);
    }

    /// Names the type of the error or exception.
    [[nodiscard]] std::string type_name() const {
        return is_exception() ? detail::exception_type_name(exception_)
                              : detail::type_name(*error_type_);
    }

    /// Names the actor, as given when it was made. *Lifetime*: the actor's.
    [[nodiscard]] std::string_view actor_name() const noexcept { return actor_name_; }

    /// Identifies the actor in the log: the hash of its references' `id()`; 0 when unknown.
    [[nodiscard]] std::uint64_t actor_id() const noexcept { return actor_id_; }

    [[nodiscard]] failure_stage stage() const noexcept { return stage_; }

private:
    const void* error_ = nullptr;
    const std::type_info* error_type_ = nullptr;
    std::string (*describe_)(const void*) = nullptr;
    std::exception_ptr exception_;
    std::string_view actor_name_;
    std::uint64_t actor_id_ = 0;
    failure_stage stage_ = failure_stage::running;
};

}  // namespace heph
