#pragma once

// What an actor reference leads to when it is not an inbox directly.

#include <concepts>
#include <expected>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <heph/core/detail/any_future.hpp>
#include <heph/core/detail/message_map.hpp>
#include <heph/core/send_error.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/inbox/channel_id.hpp>

namespace heph {

template <typename M>
class actor_ref;

namespace detail {

template <typename M>
class ref_target;

/// Lets the libraries look into references, and make some to targets of their own.
struct ref_access {
    template <typename M>
    [[nodiscard]] static actor_ref<M> to_target(
        std::shared_ptr<const ref_target<M>> target) noexcept;
    /// Gives the sender to the inbox that a reference leads to directly; null if it does not.
    template <typename M>
    [[nodiscard]] static const inbox::sender<M>* sender_of(const actor_ref<M>& ref) noexcept;
    /// Gives where it leads to otherwise. *Requires*: `sender_of` gives null.
    template <typename M>
    [[nodiscard]] static const ref_target<M>& target_of(const actor_ref<M>& ref) noexcept;
};

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

/// Converts messages and gives them to another reference.
template <typename From, typename To, typename F>
class mapped_target final : public ref_target<From> {
    using converted_type = std::remove_cvref_t<std::invoke_result_t<const F&, From&&>>;

    static constexpr bool converts_always = std::convertible_to<converted_type&&, To>;
    static constexpr bool keeps_a_copy =
        std::is_trivially_copyable_v<From> && std::is_copy_constructible_v<From>;
    // Whether a converted message can be turned into what it was. A function may have changed it.
    static constexpr bool converts_back =
        recovers<From, To> &&
        (std::same_as<F, convert_to<To>> || std::same_as<F, take_alternative<To>>);

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
            return start(std::move(converted), kept);
        } else {
            if (!converted) {
                return any_future<send_result<From>>(
                    ready_future<send_result<From>>(refuse(converted, kept)));
            }
            return start(std::move(*converted), kept);
        }
    }

    any_future<void> join() const override {
        if (const auto* sender = ref_access::sender_of(to_)) {
            return any_future<void>(sender->join());
        }
        return ref_access::target_of(to_).join();
    }
    bool is_connected() const noexcept override { return to_.is_connected(); }
    inbox::channel_id id() const noexcept override { return to_.id(); }
    std::optional<inbox::observer> observe() const noexcept override { return to_.observe(); }

private:
    struct nothing {};
    using kept_type = std::conditional_t<keeps_a_copy, std::optional<From>, nothing>;
    // What an inbox gives back can be converted back: no need to keep it meanwhile.
    using kept_for_inbox = std::conditional_t<converts_back, nothing, kept_type>;

    static kept_type keep(const From& message) {
        if constexpr (keeps_a_copy) {
            return kept_type(message);
        } else {
            (void)message;
            return {};
        }
    }

    template <typename Kept>
    static send_result<From> convert_result(send_result<To>&& sent, const Kept& kept) {
        if (sent) { return {}; }
        send_error<To>& error = sent.error();
        if constexpr (std::same_as<Kept, std::optional<From>>) {
            return send_result<From>(std::unexpect, error.reason(), *kept);
        } else {
            (void)kept;
            if constexpr (converts_back) {
                if (error.has_value()) {
                    if (auto back = recover<From>(std::move(error.value()))) {
                        return send_result<From>(std::unexpect, error.reason(), *std::move(back));
                    }
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

    // `Sending` is a send to an inbox, or any other.
    template <typename Sending, typename Kept>
    class converting_future {
    public:
        using value_type = send_result<From>;
        converting_future(Sending sending, Kept kept)
            : sending_(std::move(sending)), kept_(std::move(kept)) {}
        polled<value_type> poll(const waker& waker) {
            auto sent = sending_.poll(waker);
            if (!sent.is_ready()) { return pending; }
            if constexpr (std::same_as<future_value_t<Sending>, send_result<To>>) {
                return polled<value_type>(std::in_place,
                                          convert_result(std::move(sent).value(), kept_));
            } else {
                return polled<value_type>(
                    std::in_place,
                    convert_result(to_send_result<To>(std::move(sent).value()), kept_));
            }
        }

    private:
        Sending sending_;
        [[no_unique_address]] Kept kept_;
    };

    // Directly to the inbox where there is nothing in between, as that future is small enough to
    // need no memory of its own.
    any_future<send_result<From>> start(To&& message, const kept_type& kept) const {
        if (const auto* sender = ref_access::sender_of(to_)) {
            if constexpr (std::same_as<kept_for_inbox, kept_type>) {
                return erase(sender->send(std::move(message)), kept);
            } else {
                return erase(sender->send(std::move(message)), nothing());
            }
        }
        return erase(ref_access::target_of(to_).send(std::move(message)), kept);
    }

    template <typename Sending, typename Kept>
    static any_future<send_result<From>> erase(Sending sending, const Kept& kept) {
        return any_future<send_result<From>>(
            converting_future<Sending, Kept>(std::move(sending), kept));
    }

    actor_ref<To> to_;
    F function_;
};

}  // namespace detail

}  // namespace heph
