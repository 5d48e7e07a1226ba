#include "etcd/watch_run.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/rt/timer.hpp>

#include "etcd/asking_again.hpp"

namespace heph::remote::etcd::detail {

namespace {

constexpr std::int64_t page_max = 1000;
constexpr std::size_t listed_max = 1'000'000;
constexpr std::chrono::milliseconds pause_min{50};
constexpr std::chrono::milliseconds pause_max{2'000};

}  // namespace

task<answer<range_result>> list_range(std::shared_ptr<client_core> core, gateway::key_range keys,
                                      std::size_t keys_max) {
    range_result all;
    std::int64_t page = page_max;
    while (true) {
        auto body = co_await client_core::ask(core, "kv/range",
                                              gateway::range_body(keys, all.revision, page),
                                              client_core::effect::reads);
        if (!body && body.error().code() == errc::too_large && page > 1) {
            page /= 2;
            continue;
        }
        if (!body) { co_return std::unexpected(std::move(body).error()); }
        auto part = gateway::read_range(*body);
        if (!part) { co_return std::unexpected(std::move(part).error()); }
        // The pages after the first are read at its revision.
        if (all.revision == 0) {
            all.revision = part->revision;
            all.cluster = part->cluster;
        }
        if (all.found.size() + part->found.size() > keys_max) {
            co_return std::unexpected(rt::error(errc::too_large, "etcd: there are too many keys"));
        }
        const bool more = part->more && !part->found.empty();
        std::ranges::move(part->found, std::back_inserter(all.found));
        if (!more) { co_return all; }
        keys.first = all.found.back().key + '\0';
    }
}

void watch_run::leave() noexcept {
    connection_.reset();
    lines_.reset();
}

task<> watch_run::pause() {
    pause_ = std::clamp(pause_ * 2, pause_min, pause_max);
    co_await rt::timer(pause_);
}

task<answer<watch_batch>> watch_run::list() {
    // A list that is asked for later than an answer came is no older than that, or the store is
    // another one.
    state_.had(core_->newest());
    const auto floor = state_.floor();
    auto listed = co_await list_range(core_, keys_, listed_max);
    if (!listed) { co_return std::unexpected(std::move(listed).error()); }
    watch_batch all;
    all.reset = true;
    all.revision = listed->revision;
    const bool is_told = core_->times_back() != times_back_;
    all.replaced = is_told || listed->revision < floor;
    if (all.replaced && !is_told) { core_->went_back(listed->revision); }
    times_back_ = core_->times_back();
    core_->saw(listed->revision);
    all.events.reserve(listed->found.size());
    for (auto& each : listed->found) { all.events.emplace_back(false, std::move(each)); }
    state_.listed(listed->revision, listed->cluster);
    co_return all;
}

task<watch_run::done> watch_run::open() {
    endpoint_ = core_->current();
    resumed_ = core_->resumed().count();
    // The head comes with the first message, at once, unless the endpoint is dead.
    auto opened = co_await client_core::open_watch(core_, keys_, state_.from());
    if (!opened) {
        core_->turn_from(endpoint_);
        co_return std::unexpected(std::move(opened).error());
    }
    connection_.emplace(std::move(*opened));
    lines_.emplace(core_->where().answer_bytes_max());
    state_.opened();
    co_return done();
}

task<watch_run::done> watch_run::check() {
    state_.had(core_->newest());
    // A range is answered by a majority of the members, as long as it does not ask otherwise.
    auto body = co_await client_core::ask(core_, "kv/range", gateway::range_body(keys_, 0, 1),
                                          client_core::effect::reads);
    auto now = body ? gateway::read_range(*body) : std::unexpected(std::move(body).error());
    if (!now) { co_return std::unexpected(std::move(now).error()); }
    state_.checked(now->revision);
    if (state_.now() != watch_state::phase::reading) { leave(); }
    co_return done();
}

rt::error watch_run::refused(std::string_view reason) {
    const std::string words = "etcd: " + std::string(reason);
    auto code = errc::unavailable;
    if (reason.contains("permission denied") || gateway::is_token_refused(rt::error(code, words))) {
        // etcd says the same of one who may not see the keys, and of a token that it forgot.
        const bool may_be_stale = core_->logs_in() && !std::exchange(is_token_new_, true);
        if (may_be_stale) {
            core_->forget_token();
        } else {
            is_token_new_ = false;
            code = errc::permission_denied;
        }
    }
    return {code, words};
}

watch_run::maybe_batch watch_run::take(std::string_view line) {
    auto message = gateway::read_watch_line(line);
    if (!message) {
        leave();
        if (message.error().code() == errc::bad_answer) {
            state_.unreadable();
        } else {
            state_.lost();
        }
        core_->turn_from(endpoint_);
        return std::unexpected(std::move(message).error());
    }
    if (message->what == gateway::watch_message::kind::created) { state_.had(core_->newest()); }
    const auto step = state_.take(*message);
    if (step == watch_state::step::leave) {
        leave();
        // Why a watch is canceled otherwise is told in words only, if at all: no leader, no
        // permission.
        if (message->what == gateway::watch_message::kind::canceled &&
            message->compact_revision == 0) {
            core_->turn_from(endpoint_);
            const bool is_told = !message->reason.empty();
            return std::unexpected(refused(is_told ? message->reason : "a watch was canceled"));
        }
        return std::nullopt;
    }
    pause_ = {};
    is_token_new_ = false;
    if (step != watch_state::step::tell) { return std::nullopt; }
    watch_batch batch;
    batch.revision = message->changes.back().what.mod_revision;
    batch.events = std::move(message->changes);
    return batch;
}

task<watch_run::maybe_batch> watch_run::read() {
    while (connection_ && state_.now() == watch_state::phase::reading) {
        auto line = lines_->next();
        if (!line) { break; }
        auto taken = take(*line);
        if (!taken || *taken) { co_return taken; }
    }
    if (!connection_ || state_.now() != watch_state::phase::reading) {
        co_return maybe_batch(std::nullopt);
    }
    auto reading = connection_->next();
    auto first = co_await either(reading, core_->resumed().beyond(resumed_));
    if (first.index() == 1) {
        leave();
        state_.lost();
        co_return maybe_batch(std::nullopt);
    }
    auto& piece = std::get<0>(first);
    if (piece && !piece->empty()) {
        if (lines_->feed(*piece)) { co_return maybe_batch(std::nullopt); }
        leave();
        state_.unreadable();
        co_return std::unexpected(
            rt::error(errc::too_large, "etcd: a message of a watch is larger than is taken"));
    }
    // What ended in silence is just made anew; else another endpoint may be better.
    const bool silence = !piece && piece.error() == std::errc::timed_out;
    auto taken = maybe_batch(std::nullopt);
    if (auto line = lines_->last(); line && piece) { taken = take(*line); }
    if (connection_) {
        leave();
        state_.lost();
        core_->turn_from(endpoint_);
    }
    if (!silence && taken && !*taken) {
        co_return std::unexpected(rt::error(errc::unavailable, "etcd: the watch has ended"));
    }
    co_return taken;
}

task<answer<watch_batch>> watch_run::next() {
    if (core_->where().endpoints().empty()) {
        co_return std::unexpected(rt::error(errc::bad_settings, "etcd: no endpoint is named"));
    }
    while (true) {
        if (core_->times_back() != times_back_ && state_.now() != watch_state::phase::listing) {
            leave();
            state_.unreadable();
        }
        std::optional<rt::error> failure;
        switch (state_.now()) {
            case watch_state::phase::listing: {
                auto listed = co_await list();
                if (listed) { co_return std::move(*listed); }
                failure.emplace(std::move(listed).error());
                break;
            }
            case watch_state::phase::opening: {
                auto opened = co_await open();
                if (!opened) { failure.emplace(std::move(opened).error()); }
                break;
            }
            case watch_state::phase::checking: {
                auto checked = co_await check();
                if (!checked) { failure.emplace(std::move(checked).error()); }
                break;
            }
            case watch_state::phase::reading: {
                auto read_one = co_await read();
                if (!read_one) {
                    failure.emplace(std::move(read_one).error());
                } else if (*read_one) {
                    co_return std::move(**read_one);
                }
                break;
            }
        }
        if (!failure) { continue; }
        if (!passes(*failure)) { co_return std::unexpected(std::move(*failure)); }
        co_await pause();
    }
}

}  // namespace heph::remote::etcd::detail
