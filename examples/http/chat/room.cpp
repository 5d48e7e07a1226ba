#include "room.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include <heph/core/either.hpp>
#include <heph/core/match.hpp>
#include <heph/rt/stopping.hpp>

namespace chat {

namespace {

constexpr std::size_t remembered_lines = 20;
constexpr std::size_t line_bytes_max = 1100;

class members {
public:
    void add(enter newcomer) {
        // All at once: an inbox has room for a few messages.
        const auto told =
            std::make_shared<const std::vector<std::string>>(said_.begin(), said_.end());
        if (!told->empty()) { (void)newcomer.member.try_send(told); }
        all_.push_back(std::move(newcomer.member));
    }

    void tell(std::string said) {
        const auto told = std::make_shared<const std::vector<std::string>>(1, said);
        std::erase_if(all_, [&told](const heph::actor_ref<lines>& member) {
            const auto sent = member.try_send(told);
            return !sent && sent.error().reason() == heph::send_failure::disconnected;
        });
        said_.push_back(std::move(said));
        if (said_.size() > remembered_lines) { said_.pop_front(); }
    }

private:
    std::vector<heph::actor_ref<lines>> all_;
    std::deque<std::string> said_;
};

}  // namespace

heph::task<> room(heph::rt::shared_context<room_message> ctx) {
    members everybody;
    heph::rt::stopping stop;
    for (;;) {
        auto first = co_await heph::either(ctx.receive(), stop);
        if (first.index() == 1 || !std::get<0>(first)) { co_return; }
        heph::match(
            *std::get<0>(first), [&](std::string& said) { everybody.tell(std::move(said)); },
            [&](enter& newcomer) { everybody.add(std::move(newcomer)); });
    }
}

heph::task<> member(heph::rt::local_context<lines> ctx, heph::http::ws::socket* socket,
                    heph::actor_ref<room_message> room) {
    enter entering(ctx.self());
    auto entered = room.send(room_message(std::move(entering)));
    (void)co_await entered;
    for (;;) {
        auto saying = socket->receive();
        auto hearing = ctx.receive();
        auto first = co_await heph::either(saying, hearing);
        if (first.index() == 1) {
            const lines heard = std::get<1>(first).value();
            for (const std::string& each : *heard) {
                const bool told = co_await socket->send_text(each);
                if (!told) { co_return; }
            }
            continue;
        }
        auto& said = std::get<0>(first);
        if (!said) { co_return; }
        if (!said->is_text() || said->payload().size() > line_bytes_max) {
            auto closing = socket->close(heph::http::ws::close_code::policy_violation, "a line");
            co_await closing;
            co_return;
        }
        std::string text = std::move(*said).payload();
        auto telling = room.send(room_message(std::move(text)));
        (void)co_await telling;
    }
}

}  // namespace chat
