#include "port.hpp"

#include <new>

#include <heph/core/either.hpp>
#include <heph/core/task.hpp>

#include "directory.hpp"
#include "polling.hpp"

namespace heph::remote::detail {

namespace {

task<> never() {
    never_ready nothing;
    co_await nothing;
}

}  // namespace

void port::publish(std::string_view name, std::shared_ptr<const published> actor) {
    entry replaced;  // Goes outside of the lock.
    std::vector<heph::waker> wakes;
    {
        const std::lock_guard lock(mutex_);
        if (closed_) { return; }
        auto& of_name = names_[std::string(name)];
        if (of_name.second) {
            replaced = std::move(of_name);
            numbers_.erase(replaced.first);
            wakes = withdrawn(replaced.first);
        }
        of_name = {next_number_++, std::move(actor)};
        numbers_.insert(of_name);
    }
    for (const auto& each : wakes) { each.wake(); }
    names_changed_.notify();
    if (replaced.second) { tell_unpublished(replaced.first); }
}

void port::unpublish(std::string_view name) {
    entry replaced;
    std::vector<heph::waker> wakes;
    {
        const std::lock_guard lock(mutex_);
        const auto at = names_.find(name);
        if (at == names_.end()) { return; }
        replaced = std::move(at->second);
        numbers_.erase(replaced.first);
        names_.erase(at);
        wakes = withdrawn(replaced.first);
    }
    for (const auto& each : wakes) { each.wake(); }
    names_changed_.notify();
    tell_unpublished(replaced.first);
}

std::uint64_t port::share(std::shared_ptr<const published> actor) {
    std::uint64_t number = 0;
    {
        const std::lock_guard lock(mutex_);
        number = next_number_++;
        if (closed_) { return number; }
        numbers_.emplace(number, std::move(actor));
    }
    request([number](requests& all) { all.shared.push_back(number); });
    return number;
}

void port::unshare(std::uint64_t number) {
    decltype(numbers_)::node_type gone;  // Goes outside of the lock.
    const std::lock_guard lock(mutex_);
    gone = numbers_.extract(number);
}

bool port::is_closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
}

port::entry port::find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    if (name == directory_name && !closed_) { return {directory_number, directory_}; }
    const auto at = names_.find(name);
    return at == names_.end() ? entry() : at->second;
}

std::shared_ptr<const published> port::find(std::uint64_t number) const {
    const std::lock_guard lock(mutex_);
    if (number == directory_number && !closed_) { return directory_; }
    const auto at = numbers_.find(number);
    return at == numbers_.end() ? nullptr : at->second;
}

std::vector<port::named_entry> port::named(std::string_view name, bool is_prefix) const {
    std::vector<named_entry> found;
    const std::lock_guard lock(mutex_);
    for (auto at = names_.lower_bound(name); at != names_.end(); ++at) {
        if (is_prefix ? !at->first.starts_with(name) : at->first != name) { break; }
        found.emplace_back(*at);
    }
    return found;
}

void port::begin_draining() noexcept {
    draining_.notify();
    names_changed_.notify();
    peers_changed_.notify();
}

void port::close() {
    decltype(names_) names;
    decltype(numbers_) numbers;
    std::vector<heph::waker> wakes;
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        names.swap(names_);
        numbers.swap(numbers_);
        for (auto& [name, peer] : peers_) { peer.is_linked = false; }
        wakes = withdrawn(0);
    }
    for (const auto& each : wakes) { each.wake(); }
    begin_draining();
}

std::vector<heph::waker> port::withdrawn(std::uint64_t number) {
    std::vector<heph::waker> wakes;
    for (auto& [who, waits] : waiting_) {
        if (number == 0 || waits.first == number) {
            wakes.push_back(std::exchange(waits.second, heph::waker()));
        }
    }
    return wakes;
}

polled<failure> port::until_withdrawn::poll(const waker& waker) {
    heph::waker former = waker;  // Goes outside of the lock.
    const std::lock_guard lock(of_->mutex_);
    if (of_->closed_) { return polled<failure>(std::in_place, failure::stopped); }
    if (number_ != 0 && !of_->numbers_.contains(number_)) {
        return polled<failure>(std::in_place, failure::no_such_actor);
    }
    std::swap(of_->waiting_.try_emplace(this, number_, heph::waker()).first->second.second, former);
    return pending;
}

port::until_withdrawn::~until_withdrawn() {
    waiting::node_type gone;  // Goes outside of the lock.
    const std::lock_guard lock(of_->mutex_);
    gone = of_->waiting_.extract(this);
}

task<> port::timer_at(const deadline& until) const {
    const std::lock_guard lock(mutex_);
    return environment_ ? environment_->timer_at(environment_->end_of(until)) : never();
}

void port::forget_environment() noexcept {
    std::shared_ptr<environment> gone;  // Goes outside of the lock.
    const std::lock_guard lock(mutex_);
    gone = std::exchange(environment_, nullptr);
}

template <typename Change>
void port::request(Change change) {
    if (is_ended()) { return; }  // Nobody takes it any more.
    heph::waker wakes;
    {
        const std::lock_guard lock(requests_mutex_);
        change(requests_);
        requested_ = true;
        wakes = std::exchange(waker_, heph::waker());
    }
    wakes.wake();
}

void port::tell_unpublished(std::uint64_t number) {
    request([number](requests& all) { all.unpublished.push_back(number); });
}

void port::cancel(std::uint64_t id) {
    request([id](requests& all) { all.cancelled.push_back(id); });
}

void port::add_peer(std::string name, const node_address& where) {
    request([&](requests& all) { all.peers.emplace_back(std::move(name), where); });
}

void port::forget_peer(std::string name) {
    request([&](requests& all) { all.peers.emplace_back(std::move(name), std::nullopt); });
}

void port::secure_anew(std::shared_ptr<link_security> by, bool renews_links) {
    request([&](requests& all) {
        all.security = std::move(by);
        all.renews_links = all.renews_links || renews_links;
    });
}

void port::request_stop() {
    request([](requests& all) { all.stop = true; });
}

void port::run(task<> what) {
    request([&](requests& all) { all.tasks.push_back(std::move(what)); });
}

requests port::take_requests() {
    // Mostly there is none. What is asked for from here on makes the future ready.
    if (!requested_.load(std::memory_order_acquire)) { return {}; }
    const std::lock_guard lock(requests_mutex_);
    requested_ = false;
    return std::exchange(requests_, requests());
}

polled<void> port::requests_future::poll(const waker& waker) {
    const std::lock_guard lock(of_->requests_mutex_);
    if (of_->requested_) { return ready; }
    of_->waker_ = waker;
    return pending;
}

// To claim a place in the channel acquires and releases one word. So who claims one behind the mark
// sees that the node has ended, and who does not see it claimed one before the mark, where his
// command is received.
std::expected<void, inbox::send_error<command>> port::hand_over(command what) {
    auto sent = commands_.try_send(std::move(what));
    if (sent && is_ended()) [[unlikely]] {
        return std::unexpected(inbox::send_error<command>(inbox::send_failure::disconnected,
                                                          command(std::in_place_type<mark>)));
    }
    return sent;
}

void port::set_peer(const std::string& name, bool linked) {
    {
        const std::lock_guard lock(mutex_);
        if (closed_) { return; }
        peers_[name].is_linked = linked;
    }
    peers_changed_.notify();
}

void port::set_wanted(std::string_view name, bool wanted) {
    {
        const std::lock_guard lock(mutex_);
        const auto at = peers_.find(name);
        if (at == peers_.end()) { return; }
        at->second.is_wanted = wanted;
    }
    peers_changed_.notify();
}

void port::remove_peer(const std::string& name) {
    {
        const std::lock_guard lock(mutex_);
        peers_.erase(name);
    }
    peers_changed_.notify();
}

std::vector<peer_status> port::peers() const {
    const std::lock_guard lock(mutex_);
    std::vector<peer_status> all;
    all.reserve(peers_.size());
    for (const auto& [name, peer] : peers_) { all.push_back({name, peer.is_linked}); }
    return all;
}

bool port::is_linked(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto at = peers_.find(name);
    return at != peers_.end() && at->second.is_linked;
}

port::peer_views port::views_of_peers() const {
    const std::lock_guard lock(mutex_);
    return peers_;
}

std::optional<peer_view> port::peer_of(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto at = peers_.find(name);
    return at == peers_.end() ? std::nullopt : std::optional(at->second);
}

namespace {

// Cancels a command when what waits for its result goes. It is made before the receiver of the
// result, so that it goes after it: the worker that finds a command without receiver drops it.
class ticket {
public:
    explicit ticket(std::shared_ptr<port> of) noexcept : of_(std::move(of)), id_(of_->next_id()) {}
    ticket(const ticket&) = delete;
    ticket& operator=(const ticket&) = delete;
    ~ticket() {
        if (armed_) { of_->cancel(id_); }
    }
    [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
    void disarm() noexcept { armed_ = false; }

private:
    std::shared_ptr<port> of_;
    std::uint64_t id_;
    bool armed_ = true;
};

// Gives a command to the node and waits for its result.
template <typename Result>
task<Result> ask(port& to, ticket& asked, command what, inbox::oneshot_receiver<Result> result,
                 deadline until) {
    auto late = to.timer_at(until);
    auto sending = to.commands().send(std::move(what));
    const auto sent = co_await either(sending, late);
    if (sent.index() == 1) { co_return Result(std::unexpect, failure::timed_out); }
    if (!std::get<0>(sent)) {
        asked.disarm();
        co_return Result(std::unexpect, failure::stopped);
    }
    auto first = co_await either(result.recv(), late);
    if (first.index() == 1) { co_return Result(std::unexpect, failure::timed_out); }
    asked.disarm();
    auto& received = std::get<0>(first);
    if (!received) { co_return Result(std::unexpect, failure::stopped); }
    co_return std::move(*received);
}

// An actor of the node itself is reached without its worker.
std::expected<std::shared_ptr<const published>, failure> target_here(const port& at,
                                                                     const destination& to) {
    if (at.is_closed()) { return std::unexpected(failure::stopped); }
    if (to.incarnation != at.incarnation()) { return std::unexpected(failure::node_down); }
    auto target = at.find(to.number);
    if (!target) { return std::unexpected(failure::no_such_actor); }
    if (!target->is_connected()) { return std::unexpected(failure::actor_gone); }
    return target;
}

found_result find_here(const port& at, std::string name) {
    const auto [number, target] = at.find(name);
    if (at.is_closed()) { return found_result(std::unexpect, failure::stopped); }
    if (!target) { return found_result(std::unexpect, failure::no_such_actor); }
    if (!target->is_connected()) { return found_result(std::unexpect, failure::actor_gone); }
    return std::make_shared<const destination>(at.name(), at.advertised(), std::move(name),
                                               at.incarnation(), number, target->types());
}

std::expected<arrival, failure> take_here(const std::shared_ptr<port>& at, const destination& to,
                                          std::uint16_t type, bool is_call,
                                          const framed_payload& payload) {
    const auto target = target_here(*at, to);
    if (!target) { return std::unexpected(target.error()); }
    // As for what comes from other nodes.
    try {
        const decoding_at here(at);
        return (*target)->take(at->name(), type, is_call, payload.payload(), false);
    } catch (const std::bad_alloc&) { return std::unexpected(failure::full); } catch (...) {
        return std::unexpected(failure::bad_message);
    }
}

task<send_result> send_here(std::shared_ptr<port> at, destination_pointer to, std::uint16_t type,
                            framed_payload payload) {
    auto arrived = take_here(at, *to, type, false, payload);
    if (!arrived) { co_return send_result(std::unexpect, arrived.error()); }
    const std::optional<failure> failed = co_await polling<delivery>(*arrived->message);
    if (failed) { co_return send_result(std::unexpect, *failed); }
    co_return send_result();
}

task<call_result> call_here(std::shared_ptr<port> at, destination_pointer to, std::uint16_t type,
                            framed_payload payload) {
    auto arrived = take_here(at, *to, type, true, payload);
    if (!arrived) { co_return call_result(std::unexpect, arrived.error()); }
    const std::optional<failure> failed = co_await polling<delivery>(*arrived->message);
    if (failed) { co_return call_result(std::unexpect, *failed); }
    co_return co_await polling<answer>(*arrived->reply);
}

std::expected<void, failure> try_send_here(const std::shared_ptr<port>& at, const destination& to,
                                           std::uint16_t type, const framed_payload& payload) {
    auto arrived = take_here(at, to, type, false, payload);
    if (!arrived) { return std::unexpected(arrived.error()); }
    const auto taken = arrived->message->poll(waker());
    if (!taken.is_ready()) { return std::unexpected(failure::full); }
    if (taken.value()) { return std::unexpected(*taken.value()); }
    return {};
}

task<failure> watch_here(std::shared_ptr<port> at, destination_pointer to) {
    const auto target = target_here(*at, *to);
    if (!target) { co_return target.error(); }
    const auto until = (*target)->until_finished();
    // The actor's end first: one that was shared is not there any more when it is finished.
    port::until_withdrawn withdrawn(*at, to->number);
    const auto first = co_await either(polling<ending>(*until), withdrawn);
    co_return first.index() == 0 ? failure::actor_gone : std::get<1>(first);
}

task<failure> watch_self(std::shared_ptr<port> at) {
    port::until_withdrawn withdrawn(*at, 0);
    co_return co_await withdrawn;
}

enum class handing { taken, has_to_wait, stopped };

// Hands a message over if there is room on the way to the actor. If it has to wait, the
// payload is left. It cannot overtake one that waits: a command that waits for the channel is
// before all that come later, and so is one that waits in the queue of its actor.
handing send_at_once(port& from, const destination_pointer& to, std::uint16_t type,
                     framed_payload& payload) {
    if (payload.payload().size() > to->at_once_bytes.load(std::memory_order_relaxed)) {
        return handing::has_to_wait;
    }
    waiting_place place = waiting_place::take_room(to);
    if (!place) { return handing::has_to_wait; }
    command what(std::in_place_type<send_command>, std::move(place), type, std::move(payload));
    auto sent = from.hand_over(std::move(what));
    if (sent) { return handing::taken; }
    if (!sent.error().is_full()) { return handing::stopped; }
    payload = std::move(std::get<send_command>(sent.error().value()).payload);
    return handing::has_to_wait;
}

// Gives a watch to the node and waits for its end.
task<failure> watch(port& at, ticket& asked, command what,
                    inbox::oneshot_receiver<failure> result) {
    auto sending = at.commands().send(std::move(what));
    const auto sent = co_await sending;
    if (!sent) {
        asked.disarm();
        co_return failure::stopped;
    }
    auto ended = co_await result.recv();
    asked.disarm();
    co_return ended ? *ended : failure::stopped;
}

}  // namespace

task<std::expected<destination_pointer, failure>> find_actor(std::shared_ptr<port> from,
                                                             std::string node, std::string name,
                                                             deadline until) {
    if (node == from->name()) { co_return find_here(*from, std::move(name)); }
    ticket asked(from);
    auto [reply, result] = inbox::oneshot<found_result>();
    command what(std::in_place_type<find_command>, asked.id(), std::move(node), std::move(name),
                 std::move(reply));
    co_return co_await ask(*from, asked, std::move(what), std::move(result), until);
}

task<std::expected<framed_payload, failure>> call_actor(std::shared_ptr<port> from,
                                                        destination_pointer to, std::uint16_t type,
                                                        framed_payload payload, deadline until) {
    if (!to) { co_return call_result(std::unexpect, failure::no_such_actor); }
    if (type == no_type) { co_return call_result(std::unexpect, failure::unknown_type); }
    if (to->node == from->name()) {
        auto late = from->timer_at(until);
        auto calling = call_here(from, to, type, std::move(payload));
        auto first = co_await either(calling, late);
        if (first.index() == 1) { co_return call_result(std::unexpect, failure::timed_out); }
        co_return std::move(std::get<0>(first));
    }
    ticket asked(from);
    auto [reply, result] = inbox::oneshot<call_result>();
    command what(std::in_place_type<call_command>, asked.id(), std::move(to), type,
                 std::move(payload), std::move(reply));
    co_return co_await ask(*from, asked, std::move(what), std::move(result), until);
}

task<std::expected<void, failure>> send_to_actor(std::shared_ptr<port> from, destination_pointer to,
                                                 std::uint16_t type, framed_payload payload) {
    if (!to) { co_return send_result(std::unexpect, failure::no_such_actor); }
    if (type == no_type) { co_return send_result(std::unexpect, failure::unknown_type); }
    if (to->node == from->name()) {
        co_return co_await send_here(std::move(from), std::move(to), type, std::move(payload));
    }
    const handing handed = send_at_once(*from, to, type, payload);
    if (handed == handing::taken) { co_return send_result(); }
    if (handed == handing::stopped || from->is_ended()) {
        co_return send_result(std::unexpect, failure::stopped);
    }
    ticket asked(from);
    auto [reply, result] = inbox::oneshot<send_result>();
    command what(std::in_place_type<send_command>, asked.id(), std::move(to), type,
                 std::move(payload), std::move(reply));
    auto sending = from->commands().send(std::move(what));
    const auto sent = co_await sending;
    if (!sent) {
        asked.disarm();
        co_return send_result(std::unexpect, failure::stopped);
    }
    auto received = co_await result.recv();
    asked.disarm();
    if (!received) { co_return send_result(std::unexpect, failure::stopped); }
    co_return *received;
}

task<std::expected<void, failure>> send_if_roomy(std::shared_ptr<port> from, destination_pointer to,
                                                 std::uint16_t type, framed_payload payload) {
    if (to && to->is_crowded()) { co_return send_result(std::unexpect, failure::full); }
    if (to && type != no_type && to->node == from->name()) {
        co_return try_send_here(from, *to, type, payload);
    }
    auto sending = send_to_actor(std::move(from), std::move(to), type, std::move(payload));
    co_return co_await sending;
}

task<failure> watch_actor(std::shared_ptr<port> from, destination_pointer to) {
    if (!to) { co_return failure::no_such_actor; }
    if (to->node == from->name()) { co_return co_await watch_here(std::move(from), std::move(to)); }
    ticket asked(from);
    auto [reply, result] = inbox::oneshot<failure>();
    command what(std::in_place_type<watch_command>, asked.id(), std::move(to), std::move(reply));
    co_return co_await watch(*from, asked, std::move(what), std::move(result));
}

task<failure> watch_node(std::shared_ptr<port> from, std::string node) {
    if (node == from->name()) { co_return co_await watch_self(std::move(from)); }
    ticket asked(from);
    auto [reply, result] = inbox::oneshot<failure>();
    command what(std::in_place_type<watch_node_command>, asked.id(), std::move(node),
                 std::move(reply));
    co_return co_await watch(*from, asked, std::move(what), std::move(result));
}

std::expected<void, failure> try_send_to_actor(const std::shared_ptr<port>& from,
                                               const destination_pointer& to, std::uint16_t type,
                                               framed_payload payload) {
    if (type == no_type) { return std::unexpected(failure::unknown_type); }
    if (to->node == from->name()) { return try_send_here(from, *to, type, payload); }
    waiting_place place = waiting_place::take(to);
    if (!place) { return std::unexpected(failure::full); }
    command what(std::in_place_type<send_command>, std::move(place), type, std::move(payload));
    const auto sent = from->hand_over(std::move(what));
    if (sent) { return {}; }
    return std::unexpected(sent.error().is_full() ? failure::full : failure::stopped);
}

}  // namespace heph::remote::detail
