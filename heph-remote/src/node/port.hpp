#pragma once

// What handles of a node and its worker share.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <heph/core/task.hpp>
#include <heph/inbox/channel.hpp>
#include <heph/remote/detail/published.hpp>
#include <heph/remote/node.hpp>

#include "address.hpp"
#include "command.hpp"
#include "environment.hpp"
#include "link_security.hpp"
#include "peer_view.hpp"
#include "shared_signal.hpp"

namespace heph::remote::detail {

/// What is asked of the worker besides commands: it never waits for room.
struct requests {
    std::vector<std::uint64_t> cancelled;
    /// Peers to dial, and those without an address to forget, in the order of the calls.
    std::vector<std::pair<std::string, std::optional<node_address>>> peers;
    std::vector<std::uint64_t> unpublished;  ///< The numbers of actors.
    std::vector<std::uint64_t> shared;       ///< Likewise.
    /// What to use from now on; null: what there is.
    std::shared_ptr<link_security> security;
    bool renews_links = false;  ///< Those that are up, by that.
    std::vector<task<>> tasks;  ///< To be run with the node's own.
    bool stop = false;
};

/// *Thread safety*: safe.
class port {
public:
    port(std::shared_ptr<environment> around, std::string name, std::string address,
         std::string advertised, protocol::id128 incarnation, bool is_plain_text,
         inbox::sender<command> commands)
        : name_(std::move(name)),
          address_(std::move(address)),
          advertised_(std::move(advertised)),
          incarnation_(incarnation),
          is_plain_text_(is_plain_text),
          commands_(std::move(commands)),
          directory_(make_directory(*this)),
          environment_(std::move(around)) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }
    /// Where others reach it; empty: nowhere.
    [[nodiscard]] const std::string& advertised() const noexcept { return advertised_; }
    [[nodiscard]] const protocol::id128& incarnation() const noexcept { return incarnation_; }
    [[nodiscard]] bool is_plain_text() const noexcept { return is_plain_text_; }
    [[nodiscard]] const inbox::sender<command>& commands() const noexcept { return commands_; }
    [[nodiscard]] std::uint64_t next_id() noexcept {
        return next_id_.fetch_add(1, std::memory_order_relaxed);
    }

    /// Gives the worker a command that nobody waits for, if there is room.
    [[nodiscard]] std::expected<void, inbox::send_error<command>> hand_over(command what);
    /// Says that no more commands are executed. The worker fails all that it receives before a
    /// mark, which it sends after this; what is handed over behind that is refused.
    void end() noexcept { ended_.store(true); }
    [[nodiscard]] bool is_ended() const noexcept { return ended_.load(); }
    /// Says that the node is about to stop: what waits for others has to end.
    void begin_draining() noexcept;
    [[nodiscard]] bool is_draining() const noexcept { return draining_.count() != 0; }
    /// Changes once, when the node is about to stop.
    [[nodiscard]] shared_signal& draining() noexcept { return draining_; }

    /// Makes a timer for whoever waits for something of the node. Once the node has ended, there is
    /// none, and nothing to wait for.
    [[nodiscard]] task<> timer_at(const deadline& until) const;
    /// Handles may outlive the environment.
    void forget_environment() noexcept;

    // What is published.
    using entry = std::pair<std::uint64_t, std::shared_ptr<const published>>;
    void publish(std::string_view name, std::shared_ptr<const published> actor);
    void unpublish(std::string_view name);
    /// Publishes it without a name, until it is finished; gives its number.
    [[nodiscard]] std::uint64_t share(std::shared_ptr<const published> actor);
    void unshare(std::uint64_t number);
    [[nodiscard]] bool is_closed() const;
    [[nodiscard]] entry find(std::string_view name) const;
    [[nodiscard]] std::shared_ptr<const published> find(std::uint64_t number) const;
    using named_entry = std::pair<std::string, entry>;
    /// Gives what is published under a name, or under all that begin with it.
    [[nodiscard]] std::vector<named_entry> named(std::string_view name, bool is_prefix) const;
    /// Changes with what is published under names.
    [[nodiscard]] shared_signal& names_changed() noexcept { return names_changed_; }
    /// Forgets all, and takes nothing more.
    void close();

    /// Waits until an actor of this node is not published any more, or, for 0, until the node
    /// stops, and says which. *Lifetime*: outlived by the port.
    class [[nodiscard]] until_withdrawn {
    public:
        using value_type = failure;
        until_withdrawn(port& of, std::uint64_t number) noexcept : of_(&of), number_(number) {}
        until_withdrawn(const until_withdrawn&) = delete;
        until_withdrawn& operator=(const until_withdrawn&) = delete;
        ~until_withdrawn();
        polled<failure> poll(const waker& waker);

    private:
        port* of_;
        std::uint64_t number_;
    };

    // Requests.
    void cancel(std::uint64_t id);
    void add_peer(std::string name, const node_address& where);
    void forget_peer(std::string name);
    void secure_anew(std::shared_ptr<link_security> by, bool renews_links);
    void request_stop();
    /// Runs a task with those of the node; drops it where the node has ended.
    void run(task<> what);
    [[nodiscard]] requests take_requests();

    /// Is ready when there are requests. One task may wait.
    class [[nodiscard]] requests_future {
    public:
        using value_type = void;
        explicit requests_future(port& of) noexcept : of_(&of) {}
        polled<void> poll(const waker& waker);

    private:
        port* of_;
    };

    // Which peers there are.
    void set_peer(const std::string& name, bool linked);
    void set_wanted(std::string_view name, bool wanted);
    void remove_peer(const std::string& name);
    [[nodiscard]] std::vector<peer_status> peers() const;
    [[nodiscard]] bool is_linked(std::string_view name) const;
    using peer_views = std::map<std::string, peer_view, std::less<>>;
    [[nodiscard]] peer_views views_of_peers() const;
    [[nodiscard]] std::optional<peer_view> peer_of(std::string_view name) const;
    /// Changes with these, and when the node stops.
    [[nodiscard]] shared_signal& peers_changed() noexcept { return peers_changed_; }

private:
    static std::shared_ptr<const published> make_directory(port& of);
    template <typename Change>
    void request(Change change);
    void tell_unpublished(std::uint64_t number);
    using waiting = std::map<const until_withdrawn*, std::pair<std::uint64_t, heph::waker>>;
    /// Takes out who waits for one number, or all of them for 0. *Requires*: `mutex_`.
    [[nodiscard]] std::vector<heph::waker> withdrawn(std::uint64_t number);

    const std::string name_;
    const std::string address_;
    const std::string advertised_;
    const protocol::id128 incarnation_;
    const bool is_plain_text_;
    const inbox::sender<command> commands_;
    std::atomic<std::uint64_t> next_id_ = 1;
    std::atomic<bool> ended_ = false;
    const std::shared_ptr<const published> directory_;
    shared_signal draining_;
    shared_signal names_changed_;
    shared_signal peers_changed_;

    mutable std::mutex mutex_;  // Guards what follows.
    std::shared_ptr<environment> environment_;
    std::map<std::string, entry, std::less<>> names_;
    std::map<std::uint64_t, std::shared_ptr<const published>> numbers_;
    std::uint64_t next_number_ = 1;
    bool closed_ = false;
    waiting waiting_;
    peer_views peers_;

    std::atomic<bool> requested_ = false;  // Written with that mutex.
    std::mutex requests_mutex_;            // Guards what follows.
    requests requests_;
    heph::waker waker_;
};

}  // namespace heph::remote::detail
