#include "links.hpp"

#include <chrono>
#include <string_view>

#include "asking_again.hpp"

namespace notes {

namespace {

using namespace std::chrono_literals;
using heph::remote::failure;

// For finding the store and its answer, the other node's disk included.
constexpr auto ask_time = 5s;

std::string explain(const std::string& node, failure why) {
    if (why == failure::node_down) { return "node '" + node + "' cannot be reached"; }
    if (why == failure::timed_out) { return "node '" + node + "' does not answer in time"; }
    return "node '" + node + "': " + std::string(heph::remote::to_string(why));
}

}  // namespace

std::optional<links::store_ref> links::found_stores::known(const std::string& node) {
    const std::lock_guard lock(mutex_);
    const auto at = stores_.find(node);
    if (at == stores_.end()) { return std::nullopt; }
    return at->second;
}

void links::found_stores::remember(const std::string& node, store_ref found) {
    const std::lock_guard lock(mutex_);
    stores_.insert_or_assign(node, std::move(found));
}

// Another request may have found the new one already.
void links::found_stores::forget(const std::string& node, const store_ref& failed) {
    const std::lock_guard lock(mutex_);
    const auto at = stores_.find(node);
    if (at != stores_.end() && at->second == failed) { stores_.erase(at); }
}

// So that a change does not fail because its way leads to a store that was.
heph::task<> links::forget_at_its_end(std::shared_ptr<found_stores> all, std::string node,
                                      store_ref store) {
    auto ending = store.join();
    (void)co_await ending;
    all->forget(node, store);
}

template <typename Call>
heph::task<std::expected<typename Call::response_type, std::string>> links::ask(
    std::string node, typename Call::request_type asked) {
    if (!self_) { co_return std::unexpected("node '" + node + "' is not linked"); }
    const heph::remote::deadline until(ask_time);
    for (int tries_left = 1;; --tries_left) {
        auto store = found_->known(node);
        const bool was_known = store.has_value();
        if (!store) {
            auto searching = self_->find<store_message>(node, store_name, until);
            auto found = co_await searching;
            if (!found) { co_return std::unexpected(explain(node, found.error())); }
            store = std::move(*found);
            found_->remember(node, *store);
            watchers_->spawn_future(forget_at_its_end(found_, node, *store));
        }
        auto asking = store->template rpc<Call>(until, asked);
        auto answer = co_await asking;
        if (answer) { co_return std::move(*answer); }
        found_->forget(node, *store);
        if (!was_known || tries_left == 0 || !may_ask_again<Call>(answer.error())) {
            co_return std::unexpected(explain(node, answer.error()));
        }
    }
}

template heph::task<std::expected<get_reply, std::string>> links::ask<get_call>(std::string,
                                                                                get_note);
template heph::task<std::expected<change_reply, std::string>> links::ask<put_call>(std::string,
                                                                                   put_note);
template heph::task<std::expected<change_reply, std::string>> links::ask<remove_call>(std::string,
                                                                                      remove_note);
template heph::task<std::expected<list_reply, std::string>> links::ask<list_call>(std::string,
                                                                                  list_ids);

}  // namespace notes
