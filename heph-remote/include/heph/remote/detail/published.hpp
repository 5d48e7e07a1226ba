#pragma once

// A published actor, whatever messages it takes.

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <heph/core/actor_ref.hpp>
#include <heph/core/detail/ref_target.hpp>
#include <heph/inbox/oneshot.hpp>
#include <heph/remote/audience.hpp>
#include <heph/remote/codec/codec.hpp>
#include <heph/remote/detail/alternatives.hpp>
#include <heph/remote/detail/waits_for_all.hpp>
#include <heph/remote/protocol/error.hpp>
#include <heph/remote/protocol/framed_payload.hpp>

namespace heph::remote::detail {

using protocol::failure;
using protocol::framed_payload;

/// Puts a message into an actor's inbox, once there is room. Ready with nothing when it is there,
/// else with why it will never be.
class delivery {
public:
    using value_type = std::optional<failure>;
    delivery() = default;
    delivery(const delivery&) = delete;
    delivery& operator=(const delivery&) = delete;
    virtual ~delivery() = default;
    virtual polled<value_type> poll(const waker& waker) = 0;
};

/// Waits for an actor's answer, and encodes it. Dropping it tells the actor that nobody waits.
class answer {
public:
    using value_type = std::expected<framed_payload, failure>;
    answer() = default;
    answer(const answer&) = delete;
    answer& operator=(const answer&) = delete;
    virtual ~answer() = default;
    virtual polled<value_type> poll(const waker& waker) = 0;
};

/// Waits until an actor is finished.
class ending {
public:
    using value_type = void;
    ending() = default;
    ending(const ending&) = delete;
    ending& operator=(const ending&) = delete;
    virtual ~ending() = default;
    virtual polled<void> poll(const waker& waker) = 0;
};

/// What became of bytes that arrived for an actor. Without `message` it is in the inbox. `reply` is
/// there for a call.
struct arrival {
    std::unique_ptr<delivery> message;
    std::unique_ptr<answer> reply;
};

/// Takes what arrives for an actor. *Thread safety*: safe.
class published {
public:
    published(std::vector<std::string> types, audience who)
        : types_(std::move(types)), audience_(std::move(who)) {}
    published(const published&) = delete;
    published& operator=(const published&) = delete;
    virtual ~published() = default;

    /// Decodes a message or call of a node, and puts it into the inbox if it may be there at once
    /// and there is room. *Errors*: `unknown_type`, `bad_message`, `actor_gone`.
    [[nodiscard]] virtual std::expected<arrival, failure> take(std::string_view from,
                                                               std::uint16_t type, bool is_call,
                                                               std::span<const std::byte> payload,
                                                               bool at_once) const = 0;
    [[nodiscard]] virtual bool is_connected() const noexcept = 0;
    [[nodiscard]] virtual std::unique_ptr<ending> until_finished() const = 0;
    /// Tells whether a node may know of it.
    [[nodiscard]] bool is_for(std::string_view node) const { return audience_.includes(node); }
    /// The names of the types it takes, in the order of their numbers.
    [[nodiscard]] const std::vector<std::string>& types() const noexcept { return types_; }

private:
    std::vector<std::string> types_;
    audience audience_;
};

template <typename M>
class actor_ending final : public ending {
public:
    explicit actor_ending(const actor_ref<M>& actor) : actor_(actor), joining_(actor_.join()) {}
    polled<void> poll(const waker& waker) override { return joining_.poll(waker); }

private:
    actor_ref<M> actor_;
    join_ref_future<M> joining_;
};

template <typename M>
class inbox_delivery final : public delivery {
public:
    inbox_delivery(const actor_ref<M>& actor, M message)
        : actor_(actor), sending_(actor_.send(std::move(message))) {}

    polled<value_type> poll(const waker& waker) override {
        auto sent = sending_.poll(waker);
        if (!sent.is_ready()) { return pending; }
        if (sent.value()) { return polled<value_type>(std::in_place); }
        return polled<value_type>(std::in_place,
                                  sent.value().error().reason() == send_failure::refused
                                      ? failure::unknown_type
                                      : failure::actor_gone);
    }

private:
    actor_ref<M> actor_;
    heph::send_future<M> sending_;
};

template <typename Res>
class oneshot_answer final : public answer {
    using receiver = inbox::oneshot_receiver<heph::detail::reply_t<Res>>;

public:
    explicit oneshot_answer(receiver reply) : reply_(std::move(reply).recv_once()) {}

    polled<value_type> poll(const waker& waker) override {
        auto replied = reply_.poll(waker);
        if (!replied.is_ready()) { return pending; }
        if (!replied.value()) {
            return polled<value_type>(std::in_place, std::unexpect, failure::no_reply);
        }
        framed_payload encoded;
        encode_to(encoded.out(), *replied.value());
        return polled<value_type>(std::in_place, std::move(encoded));
    }

private:
    decltype(std::declval<receiver&&>().recv_once()) reply_;
};

template <remote_message M>
class published_actor final : public published {
public:
    /// `may_wait` says whether who takes waits for what is not in the inbox at once.
    published_actor(actor_ref<M> actor, audience who, bool may_wait = true)
        : published(names_of<M>(), std::move(who)), actor_(std::move(actor)) {
        using access = heph::detail::ref_access;
        waits_ = may_wait && access::sender_of(actor_) == nullptr &&
                 dynamic_cast<const waits_for_all*>(&access::target_of(actor_)) != nullptr;
    }

    std::expected<arrival, failure> take(std::string_view, std::uint16_t type, bool is_call,
                                         std::span<const std::byte> payload,
                                         bool at_once) const override {
        using each = typename alternatives_of<M>::template apply<taker>;
        auto arrived = each::take(actor_, type, is_call, payload, at_once && !waits_);
        // A mapped reference may have lost what it found no room for.
        if (!arrived && arrived.error() == failure::full) {
            return each::take(actor_, type, is_call, payload, false);
        }
        return arrived;
    }
    bool is_connected() const noexcept override { return actor_.is_connected(); }
    std::unique_ptr<ending> until_finished() const override {
        return std::make_unique<actor_ending<M>>(actor_);
    }

private:
    using taken = std::expected<arrival, failure>;

    template <typename... Ts>
    struct taker {
        static taken take(const actor_ref<M>& actor, std::uint16_t type, bool is_call,
                          std::span<const std::byte> payload, bool at_once) {
            taken result(std::unexpect, failure::unknown_type);
            std::uint16_t number = 0;
            ((number++ == type ? void(result = take_one<Ts>(actor, is_call, payload, at_once))
                               : void()),
             ...);
            return result;
        }
    };

    template <typename T>
    static M make(T&& message) {
        if constexpr (std::same_as<M, std::remove_cvref_t<T>>) {
            return std::forward<T>(message);
        } else {
            return M(std::in_place_type<std::remove_cvref_t<T>>, std::forward<T>(message));
        }
    }

    static failure failure_of(send_failure why) noexcept {
        switch (why) {
            case send_failure::full: return failure::full;
            case send_failure::refused: return failure::unknown_type;
            case send_failure::disconnected: break;
        }
        return failure::actor_gone;
    }

    // Puts a message into the inbox, or prepares to.
    static taken deliver(const actor_ref<M>& actor, M message, bool at_once,
                         std::unique_ptr<answer> reply = nullptr) {
        arrival arrived;
        arrived.reply = std::move(reply);
        if (!at_once) {
            arrived.message = std::make_unique<inbox_delivery<M>>(actor, std::move(message));
            return taken(std::move(arrived));
        }
        auto sent = actor.try_send(std::move(message));
        if (sent) { return taken(std::move(arrived)); }
        const send_failure why = sent.error().reason();
        if (why != send_failure::full || !sent.error().has_value()) {
            return taken(std::unexpect, failure_of(why));
        }
        arrived.message =
            std::make_unique<inbox_delivery<M>>(actor, std::move(sent.error()).value());
        return taken(std::move(arrived));
    }

    template <typename T>
    static taken take_one(const actor_ref<M>& actor, bool is_call,
                          std::span<const std::byte> payload, bool at_once) {
        if constexpr (heph::detail::rpc_message<T>) {
            using request_type = heph::detail::reply_t<typename T::request_type>;
            using response_type = typename T::response_type;
            if (!is_call) { return taken(std::unexpect, failure::unknown_type); }
            auto request = decode<request_type>(payload, payload_limits(payload.size()));
            if (!request) { return taken(std::unexpect, failure::bad_message); }
            auto [reply, receiver] = inbox::oneshot<heph::detail::reply_t<response_type>>();
            auto answers = std::make_unique<oneshot_answer<response_type>>(std::move(receiver));
            if constexpr (std::is_void_v<typename T::request_type>) {
                return deliver(actor, make(T(std::move(reply))), at_once, std::move(answers));
            } else {
                return deliver(actor, make(T(std::move(*request), std::move(reply))), at_once,
                               std::move(answers));
            }
        } else {
            if (is_call) { return taken(std::unexpect, failure::unknown_type); }
            auto message = decode<T>(payload, payload_limits(payload.size()));
            if (!message) { return taken(std::unexpect, failure::bad_message); }
            return deliver(actor, make(std::move(*message)), at_once);
        }
    }

    actor_ref<M> actor_;
    bool waits_ = false;
};

}  // namespace heph::remote::detail
