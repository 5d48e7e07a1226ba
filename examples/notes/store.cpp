#include "store.hpp"

#include <cerrno>
#include <exception>
#include <iterator>
#include <memory>
#include <string_view>
#include <utility>

#include <heph/core/either.hpp>
#include <heph/core/log.hpp>
#include <heph/core/match.hpp>
#include <heph/http/conditional.hpp>
#include <heph/http/headers.hpp>

#include "note_id.hpp"
#include "note_tag.hpp"

namespace notes {

namespace http = heph::http;

namespace {

constexpr std::size_t page_bytes_max = 64 * 1024;

record record_of(const put_call& call) {
    const put_note& asked = call.request();
    return {record_kind::put, asked.id, asked.content_type, asked.body};
}

record record_of(const remove_call& call) {
    return {record_kind::remove, call.request().id, {}, {}};
}

std::size_t bytes_of(const record& asked) {
    return asked.id.size() + asked.content_type.size() + asked.body.size();
}

template <typename Request>
std::size_t condition_bytes(const Request& asked) {
    std::size_t bytes = 0;
    for (const std::string& each : asked.if_match) { bytes += each.size(); }
    for (const std::string& each : asked.if_none_match) { bytes += each.size(); }
    return bytes;
}

// Another node is trusted to be what it says it is, not to be free of faults.
const char* why_refused(const record& asked) {
    if (const char* why = why_bad_id(asked.id)) { return why; }
    if (asked.content_type.size() > content_type_bytes_max) {
        return "the content type is too long";
    }
    if (asked.body.size() > body_bytes_max) { return "the body is too long"; }
    return nullptr;
}

http::headers conditions_of(const std::vector<std::string>& if_match,
                            const std::vector<std::string>& if_none_match) {
    http::headers fields;
    for (const std::string& each : if_match) { fields.append("If-Match", each); }
    for (const std::string& each : if_none_match) { fields.append("If-None-Match", each); }
    return fields;
}

bool means_full(std::error_code error) {
    return error == std::errc::no_space_on_device || error == std::errc::file_too_large ||
           error.value() == EDQUOT;
}

}  // namespace

note_store::note_store(note_table table, opened_log log, std::shared_ptr<store_health> health,
                       const store_limits& limits) noexcept
    : table_(std::move(table)), log_(std::move(log)), health_(std::move(health)), limits_(limits) {
    tell_size();
}

note_store::~note_store() { tell_size(0, 0); }

bool note_store::has_room() const noexcept {
    return waiting_.size() < limits_.waiting_changes_max &&
           waiting_bytes_ < limits_.waiting_bytes_max;
}

void note_store::take(store_message message) {
    heph::match(
        message,
        [this](get_call& call) {
            const auto found = table_.find(call.request().id);
            get_reply reply;
            if (found) {
                reply.found = true;
                reply.content_type = found->content_type;
                reply.body = found->body;
            }
            (void)call.respond(std::move(reply));
        },
        [this](list_call& call) {
            auto page = table_.ids_after(call.request().after, page_bytes_max);
            list_reply reply;
            reply.ids = std::move(page.ids);
            reply.is_last = page.is_last;
            (void)call.respond(std::move(reply));
        },
        [this](put_call& call) { take_change(std::move(call)); },
        [this](remove_call& call) { take_change(std::move(call)); });
}

void note_store::take_change(change asked) {
    std::visit(
        [this, &asked](auto& call) {
            const record wanted = record_of(call);
            if (const char* why = why_refused(wanted)) {
                (void)call.respond(change_reply{change_outcome::refused, why});
            } else if (broken_) {
                (void)call.respond(change_reply{change_outcome::failed, *broken_});
            } else if (wanted.kind == record_kind::put &&
                       table_.content_bytes() + waiting_bytes_ + bytes_of(wanted) >
                           limits_.content_bytes_max) {
                (void)call.respond(
                    change_reply{change_outcome::full, "this node keeps as many bytes as it may"});
            } else {
                waiting_bytes_ += bytes_of(wanted) + condition_bytes(call.request());
                waiting_.push_back(std::move(asked));
            }
        },
        asked);
}

// Takes as many of the waiting changes as fit into one frame.
void note_store::build_group() {
    frame_.emplace(log_.found.salt, log_.found.next_sequence);
    earlier_changes earlier;
    std::size_t taken = 0;
    for (; taken < waiting_.size(); ++taken) {
        const change& asked = waiting_[taken];
        const record wanted = std::visit([](const auto& call) { return record_of(call); }, asked);
        if (!frame_->has_room_for(wanted)) { break; }
        waiting_bytes_ -=
            bytes_of(wanted) +
            std::visit([](const auto& call) { return condition_bytes(call.request()); }, asked);
        verdicts_.push_back(judge(asked, earlier));
        if (verdicts_.back() != verdict::make) { continue; }
        const auto* put = std::get_if<put_call>(&asked);
        earlier[wanted.id] = put == nullptr ? nullptr : &put->request();
        frame_->add(wanted);
    }
    const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(taken);
    group_.assign(std::move_iterator(waiting_.begin()), std::move_iterator(end));
    waiting_.erase(waiting_.begin(), end);
}

note_store::verdict note_store::judge(const change& asked, const earlier_changes& earlier) const {
    const bool removes = std::holds_alternative<remove_call>(asked);
    return std::visit(
        [&](const auto& call) {
            const auto& wanted = call.request();
            const auto changed = earlier.find(wanted.id);
            const bool decided = changed != earlier.end();
            const auto kept = decided ? nullptr : table_.find(wanted.id);
            http::validators current;
            current.exists = decided ? changed->second != nullptr : kept != nullptr;
            // What would be 404 anyhow has no conditions (RFC 9110, 13.2.1).
            if (removes && !current.exists) { return verdict::absent; }
            if (wanted.if_match.empty() && wanted.if_none_match.empty()) { return verdict::make; }
            if (decided && current.exists) {
                current.tag = tag_of(changed->second->content_type, changed->second->body);
            } else if (current.exists) {
                current.tag = tag_of(kept->content_type, kept->body);
            }
            const auto holds = http::evaluate_conditions(
                removes ? http::method::delete_ : http::method::put,
                conditions_of(wanted.if_match, wanted.if_none_match), current);
            return holds == http::precondition::proceed ? verdict::make : verdict::unmet;
        },
        asked);
}

heph::task<> note_store::commit() {
    build_group();
    if (frame_->records() != 0) {
        auto refusal = co_await write_group();
        if (refusal) {
            refuse_group(*refusal);
            co_return;
        }
    }
    answer_group();
}

// Gives the answer to all of the group when it is not on disk.
heph::task<std::optional<change_reply>> note_store::write_group() {
    const std::uint32_t records = frame_->records();
    auto frame = std::move(*frame_).finish();
    const std::size_t size = frame.size();
    auto written = co_await log_.file.write_at(std::move(frame), log_.found.good_bytes);
    if (!written) {
        const std::error_code why = written.error();
        cut_back(why);
        const auto outcome = broken_ ? change_outcome::failed : change_outcome::full;
        co_return change_reply{outcome, broken_ ? *broken_ : why.message()};
    }
    auto synced = co_await log_.file.sync_data();
    if (!synced) {
        // What the kernel could not write it may have dropped; a second flush would not say so.
        break_down("flushing it failed: " + synced.error().message());
        co_return change_reply{change_outcome::failed, *broken_};
    }
    log_.found.good_bytes += size;
    log_.found.next_sequence += records;
    log_.found.records += records;
    health_->changes.fetch_add(records, std::memory_order_relaxed);
    health_->groups.fetch_add(1, std::memory_order_relaxed);
    co_return std::nullopt;
}

// Removes what a failed write may have left, so that a later group starts where this one did.
void note_store::cut_back(std::error_code why) {
    const std::error_code cut = log_.file.truncate(log_.found.good_bytes);
    if (cut) {
        break_down("writing to it failed: " + why.message() +
                   ", and so did cutting that off: " + cut.message());
    } else if (!means_full(why)) {
        break_down("writing to it failed: " + why.message());
    } else {
        heph::log(heph::log_level::error, log_.path.string() + ": there is no room for more: " +
                                              why.message() + "; changes are refused");
    }
}

void note_store::break_down(std::string why) {
    heph::log(heph::log_level::critical, log_.path.string() + ": " + why +
                                             "; no change is taken until this node is restarted");
    broken_ = std::move(why);
    health_->has_failed.store(true, std::memory_order_relaxed);
    const change_reply reply{change_outcome::failed, *broken_};
    for (change& each : waiting_) {
        std::visit([&reply](auto& call) { (void)call.respond(reply); }, each);
    }
    waiting_.clear();
    waiting_bytes_ = 0;
}

void note_store::answer_group() {
    for (std::size_t at = 0; at < group_.size(); ++at) {
        if (verdicts_[at] == verdict::unmet) {
            const change_reply unmet{change_outcome::unmet, {}};
            std::visit([&unmet](auto& call) { (void)call.respond(unmet); }, group_[at]);
            continue;
        }
        if (auto* put = std::get_if<put_call>(&group_[at])) {
            put_note& asked = put->request();
            auto stored = std::make_shared<note>();
            stored->content_type = std::move(asked.content_type);
            stored->body = std::move(asked.body);
            const bool created = table_.put(asked.id, std::move(stored));
            (void)put->respond(
                change_reply{created ? change_outcome::created : change_outcome::replaced, {}});
            continue;
        }
        auto& remove = std::get<remove_call>(group_[at]);
        const bool absent = verdicts_[at] == verdict::absent;
        if (!absent) { (void)table_.remove(remove.request().id); }
        (void)remove.respond(
            change_reply{absent ? change_outcome::absent : change_outcome::removed, {}});
    }
    group_.clear();
    verdicts_.clear();
    tell_size();
}

// Other stores of the program add theirs; a difference below zero wraps around, as it should.
void note_store::tell_size() noexcept { tell_size(table_.size(), table_.content_bytes()); }

void note_store::tell_size(std::uint64_t notes, std::uint64_t bytes) noexcept {
    health_->notes.fetch_add(notes - std::exchange(told_notes_, notes), std::memory_order_relaxed);
    health_->bytes.fetch_add(bytes - std::exchange(told_bytes_, bytes), std::memory_order_relaxed);
}

void note_store::refuse_group(const change_reply& reply) {
    for (change& each : group_) {
        std::visit([&reply](auto& call) { (void)call.respond(reply); }, each);
    }
    group_.clear();
    verdicts_.clear();
}

void note_store::give_up(std::string_view why) {
    break_down("this program failed: " + std::string(why));
    refuse_group({change_outcome::failed, *broken_});
}

namespace {

// Serves until nobody can ask any more.
heph::task<> serve(heph::rt::local_context<store_message>& ctx, note_store* store) {
    bool asked = true;
    while (asked) {
        auto message = co_await ctx.receive();
        if (!message) { co_return; }
        store->take(std::move(*message));
        while (store->has_changes()) {
            // All that has come by now goes into the same group.
            while (store->has_room()) {
                auto next = ctx.try_receive();
                if (!next) { break; }
                store->take(std::move(*next));
            }
            auto committing = store->commit();
            for (;;) {
                if (!asked || !store->has_room()) {
                    co_await committing;
                    break;
                }
                auto first = co_await heph::either(committing, ctx.receive());
                if (first.index() == 0) { break; }
                auto& next = std::get<1>(first);
                asked = next.has_value();
                if (asked) { store->take(std::move(*next)); }
            }
        }
    }
}

}  // namespace

heph::task<> run_store(heph::rt::local_context<store_message> ctx,
                       std::shared_ptr<note_store> store) {
    for (;;) {
        std::string why;
        try {
            co_await serve(ctx, store.get());
            co_return;
        } catch (const std::exception& thrown) { why = thrown.what(); }
        // Such as a lack of memory: the notes can still be read.
        store->give_up(why);
    }
}

}  // namespace notes
