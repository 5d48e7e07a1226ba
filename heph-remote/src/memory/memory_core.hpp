#pragma once

// What nodes have of a memory network. See <heph/remote/memory_network.hpp>.
//
// One lock guards a network; it is held for moves of buffers. Wakers are woken, and go, outside of
// it, since they are anybody's. Ends of connections share a `memory_link`, whose two pipes hold
// what is in transit.
//
// States of a link
//     open --one end goes, or shuts down--> its pipe is closed: the other end reads what is left,
//                                           then the end
//     open, closed --cut--> reset: both ends get an error
//     open --an end is destroyed--> both pipes are closed; who sends into one gets an error

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <heph/inbox/waker.hpp>
#include <heph/remote/memory_network.hpp>

#include "node/environment.hpp"

namespace heph::remote::detail {

/// What goes one way.
struct memory_pipe {
    struct piece {
        rt::buffer bytes;
        steady_time due;
    };
    std::deque<piece> in_transit;
    std::size_t bytes = 0;
    bool is_closed = false;  ///< Nothing more comes, and nothing more is taken.
    bool is_left = false;    ///< Its own reader ended it, and waits no more, stalled or not.
    waker reader;
    waker writer;
};

struct memory_link {
    std::string name;  ///< Of the listener.
    memory_pipe from_dialer;
    memory_pipe to_dialer;
    bool is_reset = false;
};

class memory_core {
    /// Wakes whom it was given when it goes: it is declared before the lock is taken.
    class late_wakes {
    public:
        late_wakes() = default;
        late_wakes(const late_wakes&) = delete;
        late_wakes& operator=(const late_wakes&) = delete;
        ~late_wakes() {
            for (const waker& each : first_) { each.wake(); }
            for (const waker& each : others_) { each.wake(); }
        }
        void add(waker& who) {
            if (count_ < first_.size()) {
                first_[count_++] = std::exchange(who, waker());
            } else {
                others_.push_back(std::exchange(who, waker()));
            }
        }
        void add(memory_link& of);  ///< All who wait for it.

    private:
        std::array<waker, 4> first_;  // Those of one link, so that to close it takes no memory.
        std::size_t count_ = 0;
        std::vector<waker> others_;
    };

public:
    /// The faults of a name, and who listens there.
    struct place {
        bool refuses = false;
        bool stalls_from_dialer = false;
        bool stalls_to_dialer = false;
        steady_time::duration delay{};
        std::size_t buffer_bytes = 256 * 1024;
        std::vector<std::weak_ptr<memory_link>> links;

        bool is_listening = false;
        std::deque<std::shared_ptr<memory_link>> waiting;  ///< Not accepted yet.
        waker acceptor;
    };

    /// Makes a connection. *Errors*: `connection_refused`.
    [[nodiscard]] std::expected<std::shared_ptr<memory_link>, std::error_code> connect(
        std::string_view name);
    /// *Errors*: `address_in_use`.
    [[nodiscard]] std::error_code listen(std::string_view name);
    void stop_listening(std::string_view name);
    /// Gives the next connection, or keeps the waker.
    [[nodiscard]] std::shared_ptr<memory_link> accept(std::string_view name, const waker& waker);

    // Both for one end of a link: the one that dialed, or the other one.
    struct received {
        std::error_code failed;
        bool is_there = false;  ///< Bytes, or none: the end.
        rt::buffer bytes;
        std::optional<steady_time> due;  ///< When to look again.
    };
    [[nodiscard]] received receive(memory_link& of, bool dialed, steady_time now,
                                   const waker& waker);
    /// Takes bytes, from an offset on, as far as there is room; gives how many.
    [[nodiscard]] std::expected<std::size_t, std::error_code> send(memory_link& of, bool dialed,
                                                                   std::span<const std::byte> bytes,
                                                                   steady_time now,
                                                                   const waker& waker);
    void close(memory_link& of, bool dialed, bool both_ways);

    /// Changes the faults of a name, and has everyone look again.
    template <typename Change>
    void change(std::string_view name, Change what) {
        late_wakes woken;
        std::vector<std::shared_ptr<memory_link>> open;  // Goes outside of the lock.
        const std::lock_guard lock(mutex_);
        place& at = places_[std::string(name)];
        what(at);
        open = links_of(at);
        for (const auto& each : open) { woken.add(*each); }
    }
    void cut(std::string_view name);
    [[nodiscard]] std::size_t connections(std::string_view name) const;

private:
    [[nodiscard]] static std::vector<std::shared_ptr<memory_link>> links_of(place& at);

    mutable std::mutex mutex_;
    std::map<std::string, place, std::less<>> places_;
};

[[nodiscard]] task<stream_result> memory_connect(std::shared_ptr<memory_core> network,
                                                 std::shared_ptr<environment> time,
                                                 std::string name);
[[nodiscard]] listen_result memory_listen(const std::shared_ptr<memory_core>& network,
                                          std::shared_ptr<environment> time,
                                          const std::string& name);

}  // namespace heph::remote::detail
