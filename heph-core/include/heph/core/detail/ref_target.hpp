#pragma once

// What an actor reference leads to when it is not an inbox directly.

#include <concepts>
#include <cstdint>
#include <expected>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <heph/core/detail/any_future.hpp>
#include <heph/core/match.hpp>
#include <heph/core/send_error.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/channel_id.hpp>

namespace heph {

template <typename M>
class actor_ref;

namespace detail {

struct ref_access;

template <typename M>
using send_result = std::expected<void, send_error<M>>;

/// Translates what the inbox says.
template <typename M>
send_result<M> to_send_result(std::expected<void, inbox::send_error<M>>&& sent) {
    if (sent) { return {}; }
    const send_failure reason = sent.error().reason() == inbox::send_failure::full
                                    ? send_failure::full
                                    : send_failure::disconnected;
    return send_result<M>(std::unexpect, reason, std::move(sent.error().value()));
}

/// Takes messages in the name of something else. Used by several threads at once.
template <typename M>
class ref_target {
public:
    ref_target() = default;
    ref_target(const ref_target&) = delete;
    ref_target& operator=(const ref_target&) = delete;
    virtual ~ref_target() = default;

    virtual send_result<M> try_send(M&& message) const = 0;
    virtual any_future<send_result<M>> send(M&& message) const = 0;
    virtual any_future<void> join() const = 0;
    virtual bool is_connected() const noexcept = 0;
    virtual inbox::channel_id id() const noexcept = 0;
    /// Nothing when there is nobody whose end could be observed.
    virtual std::optional<inbox::observer> observe() const noexcept = 0;
};

/// Gives messages to a function.
template <typename M, typename F>
class function_target final : public ref_target<M> {
public:
    explicit function_target(F function) : function_(std::move(function)) {}

    send_result<M> try_send(M&& message) const override {
        if constexpr (std::is_invocable_r_v<bool, const F&, const M&> &&
                      std::same_as<std::invoke_result_t<const F&, M>, bool>) {
            // It only looks at the message, so that it can be given back.
            if (!function_(std::as_const(message))) {
                return send_result<M>(std::unexpect, send_failure::refused, std::move(message));
            }
        } else if constexpr (std::same_as<std::invoke_result_t<const F&, M>, bool>) {
            if (!function_(std::move(message))) {
                return send_result<M>(std::unexpect, send_failure::refused);
            }
        } else {
            function_(std::move(message));
        }
        return {};
    }
    any_future<send_result<M>> send(M&& message) const override {
        return any_future<send_result<M>>(
            ready_future<send_result<M>>(try_send(std::move(message))));
    }
    any_future<void> join() const override { return any_future<void>(never_future<void>()); }
    bool is_connected() const noexcept override { return true; }
    inbox::channel_id id() const noexcept override { return inbox::channel_id(this); }
    std::optional<inbox::observer> observe() const noexcept override { return std::nullopt; }

private:
    F function_;
};

/// Converts a message by its constructors.
template <typename To>
struct convert_to {
    template <typename From>
    To operator()(From&& from) const {
        return To(std::forward<From>(from));
    }
};

/// Takes one alternative out of a variant, and refuses the others.
template <typename To>
struct take_alternative {
    template <typename From>
    std::expected<To, From> operator()(From&& from) const {
        if (To* held = std::get_if<To>(&from)) { return std::move(*held); }
        return std::unexpected(std::move(from));
    }
};

template <typename Variant, typename T>
inline constexpr bool holds_once = false;
template <typename... Ts, typename T>
inline constexpr bool holds_once<std::variant<Ts...>, T> =
    (std::size_t{std::same_as<Ts, T>} + ... + 0) == 1;

/// Converts messages and gives them to another reference.
template <typename From, typename To, typename F>
class mapped_target final : public ref_target<From> {
    using converted_type = std::remove_cvref_t<std::invoke_result_t<const F&, From&&>>;

    static constexpr bool converts_always = std::convertible_to<converted_type&&, To>;
    static constexpr bool keeps_a_copy = std::is_trivially_copyable_v<From>;
    // Whether a converted message can be turned into what it was.
    static constexpr bool is_alternative = std::same_as<F, convert_to<To>> && holds_once<To, From>;
    static constexpr bool was_alternative =
        std::same_as<F, take_alternative<To>> && holds_once<From, To>;

public:
    mapped_target(actor_ref<To> to, F function)
        : to_(std::move(to)), function_(std::move(function)) {}

    send_result<From> try_send(From&& message) const override {
        const kept_type kept = keep(message);
        auto converted = function_(std::move(message));
        if constexpr (converts_always) {
            return convert_result(to_.try_send(std::move(converted)), kept);
        } else {
            if (!converted) { return refuse(converted, kept); }
            return convert_result(to_.try_send(std::move(*converted)), kept);
        }
    }

    any_future<send_result<From>> send(From&& message) const override {
        const kept_type kept = keep(message);
        auto converted = function_(std::move(message));
        if constexpr (converts_always) {
            return erase(to_.send(std::move(converted)), kept);
        } else {
            if (!converted) {
                return any_future<send_result<From>>(
                    ready_future<send_result<From>>(refuse(converted, kept)));
            }
            return erase(to_.send(std::move(*converted)), kept);
        }
    }

    any_future<void> join() const override { return any_future<void>(to_.join()); }
    bool is_connected() const noexcept override { return to_.is_connected(); }
    inbox::channel_id id() const noexcept override { return to_.id(); }
    std::optional<inbox::observer> observe() const noexcept override { return to_.observe(); }

private:
    struct nothing {};
    using kept_type = std::conditional_t<keeps_a_copy, std::optional<From>, nothing>;

    static kept_type keep(const From& message) {
        if constexpr (keeps_a_copy) {
            return kept_type(message);
        } else {
            (void)message;
            return {};
        }
    }

    static send_result<From> convert_result(send_result<To>&& sent, const kept_type& kept) {
        if (sent) { return {}; }
        send_error<To>& error = sent.error();
        if constexpr (keeps_a_copy) {
            return send_result<From>(std::unexpect, error.reason(), *kept);
        } else {
            if constexpr (is_alternative) {
                if (error.has_value()) {
                    return send_result<From>(std::unexpect, error.reason(),
                                             std::get<From>(std::move(error.value())));
                }
            } else if constexpr (was_alternative) {
                if (error.has_value()) {
                    return send_result<From>(
                        std::unexpect, error.reason(),
                        From(std::in_place_type<To>, std::move(error.value())));
                }
            }
            return send_result<From>(std::unexpect, error.reason());
        }
    }

    template <typename Converted>
    static send_result<From> refuse(Converted& converted, const kept_type& kept) {
        if constexpr (keeps_a_copy) {
            return send_result<From>(std::unexpect, send_failure::refused, *kept);
        } else if constexpr (std::same_as<Converted, std::expected<To, From>>) {
            return send_result<From>(std::unexpect, send_failure::refused,
                                     std::move(converted.error()));
        } else {
            return send_result<From>(std::unexpect, send_failure::refused);
        }
    }

    template <typename Sending>
    class converting_future {
    public:
        using value_type = send_result<From>;
        converting_future(Sending sending, kept_type kept)
            : sending_(std::move(sending)), kept_(std::move(kept)) {}
        polled<value_type> poll(const waker& waker) {
            auto sent = sending_.poll(waker);
            if (!sent.is_ready()) { return pending; }
            return polled<value_type>(std::in_place,
                                      convert_result(std::move(sent).value(), kept_));
        }

    private:
        Sending sending_;
        [[no_unique_address]] kept_type kept_;
    };

    template <typename Sending>
    static any_future<send_result<From>> erase(Sending sending, const kept_type& kept) {
        return any_future<send_result<From>>(converting_future<Sending>(std::move(sending), kept));
    }

    actor_ref<To> to_;
    F function_;
};

}  // namespace detail

}  // namespace heph
