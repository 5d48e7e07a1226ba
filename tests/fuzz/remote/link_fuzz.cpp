// Feeds one end of a link any bytes: as the hello that it waits for, as the answer to its own
// hello, or over a session that is up. It may refuse them, and must stay within its bounds.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "remote/wire.hpp"

namespace {

using namespace heph::remote::protocol;
using heph::remote::testing::wire_end;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

link_limits small_limits() {
    link_limits limits;
    limits.message_bytes_max = 64 * 1024;
    limits.window_messages = 8;
    limits.window_bytes = 8192;
    limits.parts_bytes_max = 128 * 1024;
    limits.watches_max = 16;
    return limits;
}

session_limits small_session() {
    session_limits limits;
    limits.frames_max = 64;
    limits.bytes_max = 64 * 1024;
    limits.hard_bytes_max = 256 * 1024;
    return limits;
}

// Deals with what arrives as a node would.
class answerer {
public:
    explicit answerer(wire_end& end) noexcept : end_(&end) {}

    void operator()(const event& told) {
        if (const auto* message = std::get_if<message_arrived>(&told)) {
            require(message->payload.size() <= small_limits().message_bytes_max);
            end_->peers.grant(message->actor, message->payload.size());
            if (message->token % 3 == 1) {
                end_->peers.fail_message(message->token, failure::actor_gone);
            }
        } else if (const auto* call = std::get_if<call_arrived>(&told)) {
            require(call->payload.size() <= small_limits().message_bytes_max);
            end_->peers.grant(call->actor, call->payload.size());
            if (call->call % 2 == 0) {
                (void)end_->peers.reply(call->call, call->payload);
            } else {
                end_->peers.fail_call(call->call, failure::no_reply);
            }
        } else if (const auto* find = std::get_if<find_arrived>(&told)) {
            require(find->name.size() <= small_limits().message_bytes_max);
            if (find->name.size() % 2 == 0) {
                end_->peers.answer_find(find->request, 1, {"fuzz.leaf", "fuzz.tree"});
            } else {
                end_->peers.fail_find(find->request, failure::no_such_actor);
            }
        } else if (const auto* watch = std::get_if<watch_arrived>(&told)) {
            require(++watched_ <= small_limits().watches_max);
            if (watch->actor % 2 == 0) {
                end_->peers.tell_ended(watch->watch, failure::actor_gone);
                --watched_;
            }
        } else if (std::holds_alternative<unwatch_arrived>(told)) {
            --watched_;
        }
    }

private:
    wire_end* end_;
    std::size_t watched_ = 0;
};

void feed_in_two(wire_end& end, std::span<const std::byte> bytes, std::size_t cut) {
    end.feed(bytes.first(cut));
    if (!end.failed) { end.feed(bytes.subspan(cut)); }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) { return 0; }
    const auto bytes = std::as_bytes(std::span(data + 2, size - 2));
    const std::size_t cut = data[1] % (bytes.size() + 1);
    wire_end under_test("b", 2, small_limits(), small_session());
    under_test.on_event = answerer(under_test);
    switch (data[0] % 3) {
        case 0: under_test.accept(); break;
        case 1: under_test.dial("a"); break;
        default: {
            wire_end other("a", 1, small_limits(), small_session());
            heph::remote::testing::connect(other, under_test);
            require(under_test.peers.current() == link::state::up);
            (void)under_test.peers.call(7, 1, bytes.first(cut));
            (void)under_test.peers.send(7, 9, 0, bytes.first(cut));
            (void)under_test.peers.find("name");
            (void)under_test.peers.watch(7);
            // It is large, and cut: what arrives meets a payload of which parts are left.
            const std::vector<std::byte> large(40'000);
            (void)under_test.peers.call(8, 1, large);
            under_test.flush();
        }
    }
    feed_in_two(under_test, bytes, cut);
    require(under_test.frames.held_bytes() <= bytes.size());
    require(under_test.peers.assembling_bytes() <= 8 * bytes.size());
    require(under_test.peers.kept_bytes() <=
            small_session().hard_bytes_max + 4 * small_limits().message_bytes_max + size);
    under_test.cut();
    under_test.peers.lose(failure::node_down);
    under_test.collect_losses();
    require(under_test.peers.current() == link::state::down);
    return 0;
}
