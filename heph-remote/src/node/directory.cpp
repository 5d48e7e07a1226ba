#include "directory.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <span>

#include <heph/core/group_route.hpp>

#include "port.hpp"
#include "shared_signal.hpp"

namespace heph::remote::detail {

namespace {

class never_ending final : public ending {
public:
    polled<void> poll(const waker&) override { return pending; }
};

// What comes for the directory is there at once.
class nothing_to_wait_for final : public delivery {
public:
    polled<value_type> poll(const waker&) override { return polled<value_type>(std::in_place); }
};

// A number stands for one publication of this run of the node. Never 0, which stands for nothing.
std::uint64_t digest_of(const std::vector<port::named_entry>& actors) noexcept {
    std::uint64_t digest = 1;
    for (const auto& [name, each] : actors) {
        digest = heph::detail::mix_bits(digest ^ heph::detail::mix_bits(each.first));
    }
    return std::max<std::uint64_t>(digest, 1);
}

actor_numbers_pointer numbers_of(const std::vector<port::named_entry>& actors) {
    actor_numbers numbers;
    numbers.reserve(actors.size());
    for (const auto& [name, each] : actors) { numbers.push_back(each.first); }
    std::ranges::sort(numbers);
    return std::make_shared<const actor_numbers>(std::move(numbers));
}

// What went is told by a number, which is a few bytes; what stays would be by its name and types.
bool are_worth_telling(const actor_numbers& before, const actor_numbers& now) {
    actor_numbers stay;
    std::ranges::set_intersection(before, now, std::back_inserter(stay));
    constexpr std::size_t numbers_for_a_name = 4;
    return before.size() - stay.size() < numbers_for_a_name * stay.size();
}

}  // namespace

// Is one call, as long as it waits for its answer.
class directory::listing final : public answer {
public:
    listing(const directory& of, std::string_view from, list_request what)
        : of_(&of), from_(from), what_(std::move(what)) {
        const std::lock_guard lock(of_->mutex_);
        std::size_t& waiting = of_->waiting_[from_];
        is_counted_ = waiting < calls_max;
        if (is_counted_) { ++waiting; }
        if (what_.takes_changes) { base_ = of_->told_.find(what_.known); }
    }
    ~listing() override {
        if (!is_counted_) { return; }
        const std::lock_guard lock(of_->mutex_);
        const auto at = of_->waiting_.find(from_);
        if (--at->second == 0) { of_->waiting_.erase(at); }
    }

    polled<value_type> poll(const waker& waker) override {
        if (!is_counted_) {
            return polled<value_type>(std::in_place, std::unexpect, failure::full);
        }
        for (;;) {
            changed_.reset();
            const std::uint64_t seen = of_->of_->names_changed().count();
            const auto now = visible();
            const std::uint64_t digest = digest_of(now);
            const bool is_leaving = of_->of_->is_draining();
            if (is_leaving) { return polled<value_type>(std::in_place, framed(leaving(digest))); }
            if (digest != what_.known) { return told(now, digest); }
            if (what_.takes_changes && !base_) { base_ = numbers_of(now); }
            if (!is_watching_) { watch(now); }
            if (has_ended_one(waker)) { continue; }
            changed_.emplace(of_->of_->names_changed(), seen);
            if (!changed_->poll(waker).is_ready()) { return pending; }
        }
    }

private:
    // What the caller may know of, and is there.
    std::vector<port::named_entry> visible() const {
        auto all = of_->of_->named(what_.name, what_.is_prefix);
        const bool is_here = from_ == of_->of_->name();
        std::erase_if(all, [&](const auto& each) {
            const auto& [number, target] = each.second;
            return !target->is_connected() || ended_.contains(number) ||
                   (!is_here && !target->is_for(from_));
        });
        return all;
    }

    // Those that are known are the ones to be watched until the answer.
    void watch(const std::vector<port::named_entry>& all) {
        endings_.reserve(all.size());
        for (const auto& [name, each] : all) {
            endings_.emplace_back(each.first, each.second->until_finished());
        }
        is_watching_ = true;
    }
    bool has_ended_one(const waker& waker) {
        const std::size_t before = ended_.size();
        std::erase_if(endings_, [&](const auto& each) {
            const bool has_ended = each.second->poll(waker).is_ready();
            if (has_ended) { ended_.insert(each.first); }
            return has_ended;
        });
        return ended_.size() != before;
    }

    static list_answer leaving(std::uint64_t digest) {
        list_answer said;
        said.digest = digest;
        said.is_leaving = true;
        return said;
    }

    polled<value_type> told(const std::vector<port::named_entry>& actors, std::uint64_t digest) {
        list_answer said;
        said.digest = digest;
        actor_numbers_pointer numbers;
        if (what_.takes_changes) {
            numbers = numbers_of(actors);
            if (base_ && are_worth_telling(*base_, *numbers)) {
                said.since = what_.known;
                std::ranges::set_difference(*base_, *numbers, std::back_inserter(said.gone));
            }
        }
        const bool is_whole = said.since == 0;
        for (const auto& [name, each] : actors) {
            if (!is_whole && std::ranges::binary_search(*base_, each.first)) { continue; }
            said.actors.push_back(listed_actor{name, each.first, each.second->types()});
        }
        polled<value_type> result(std::in_place, framed(said));
        if (numbers) {
            const std::lock_guard lock(of_->mutex_);
            of_->told_.add(digest, std::move(numbers));
        }
        return result;
    }

    const directory* of_;
    const std::string from_;
    const list_request what_;
    actor_numbers_pointer base_;  // What the caller knows, if that is known here.
    bool is_counted_ = false;
    bool is_watching_ = false;
    std::vector<std::pair<std::uint64_t, std::unique_ptr<ending>>> endings_;
    std::set<std::uint64_t> ended_;
    std::optional<shared_signal::next_future> changed_;
};

directory::directory(port& of)
    : published(names_of<list_actors>(), audience::everyone()), of_(&of) {}

std::expected<arrival, failure> directory::take(std::string_view from, std::uint16_t type,
                                                bool is_call, std::span<const std::byte> payload,
                                                bool at_once) const {
    if (type != 0 || !is_call) { return std::unexpected(failure::unknown_type); }
    auto request = decode<list_request>(payload, payload_limits(payload.size()));
    if (!request) { return std::unexpected(failure::bad_message); }
    arrival arrived;
    arrived.reply = std::make_unique<listing>(*this, from, std::move(*request));
    if (!at_once) { arrived.message = std::make_unique<nothing_to_wait_for>(); }
    return arrived;
}

std::unique_ptr<ending> directory::until_finished() const {
    return std::make_unique<never_ending>();
}

std::shared_ptr<const published> port::make_directory(port& of) {
    return std::make_shared<const directory>(of);
}

}  // namespace heph::remote::detail
