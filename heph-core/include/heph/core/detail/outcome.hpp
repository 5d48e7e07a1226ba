#pragma once

// What comes of an operation of another library, on its way to who waits for it.

#include <cstddef>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/inbox/polled.hpp>

namespace heph::detail {

/// Holds a value or an exception, and moves without throwing whatever the value is.
template <typename T>
class outcome {
    static constexpr bool moves_safely =
        std::is_void_v<T> ||
        (std::is_nothrow_move_constructible_v<T> &&
         alignof(std::conditional_t<std::is_void_v<T>, char, T>) <= alignof(std::max_align_t));
    using value_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;
    using kept_type = std::conditional_t<moves_safely, value_type, std::unique_ptr<value_type>>;

public:
    outcome() noexcept : kept_(std::in_place_index<0>) {}

    template <typename... Args>
    void set_value(Args&&... args) {
        if constexpr (moves_safely) {
            kept_.template emplace<1>(std::forward<Args>(args)...);
        } else {
            kept_.template emplace<1>(std::make_unique<value_type>(std::forward<Args>(args)...));
        }
    }
    void set_exception(std::exception_ptr thrown) noexcept {
        kept_.template emplace<2>(std::move(thrown));
    }

    /// Gives the value as a future does, or throws.
    polled<T> take() {
        if (auto* thrown = std::get_if<2>(&kept_)) { std::rethrow_exception(std::move(*thrown)); }
        if constexpr (std::is_void_v<T>) {
            return ready;
        } else if constexpr (moves_safely) {
            return polled<T>(std::in_place, std::move(std::get<1>(kept_)));
        } else {
            return polled<T>(std::in_place, std::move(*std::get<1>(kept_)));
        }
    }

private:
    std::variant<std::monostate, kept_type, std::exception_ptr> kept_;
};

/// Leaves an operation alone that nobody waits for any more.
struct no_cancel {
    void operator()() const noexcept {}
};

}  // namespace heph::detail
