#include "etcd/gateway.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <utility>

#include <heph/http/response.hpp>

#include "codec/base64.hpp"
#include "etcd/json.hpp"

namespace heph::remote::etcd {

namespace {

/// Writes one flat object after the other.
class object_writer {
public:
    object_writer() : text_("{") {}

    object_writer& bytes(std::string_view name, std::string_view value) {
        begin(name);
        text_ += '"';
        codec::append_base64(text_, value);
        text_ += '"';
        return *this;
    }
    object_writer& integer(std::string_view name, std::int64_t value) {
        begin(name);
        text_ += '"';
        text_ += std::to_string(value);
        text_ += '"';
        return *this;
    }
    object_writer& word(std::string_view name, std::string_view value) {
        begin(name);
        http::append_json_string(text_, value);
        return *this;
    }
    object_writer& raw(std::string_view name, std::string_view json) {
        begin(name);
        text_ += json;
        return *this;
    }
    [[nodiscard]] std::string done() { return std::move(text_) + '}'; }

private:
    void begin(std::string_view name) {
        if (text_.size() > 1) { text_ += ','; }
        http::append_json_string(text_, name);
        text_ += ':';
    }

    std::string text_;
};

void append_to_list(std::string& list, std::string_view item) {
    if (!list.empty()) { list += ','; }
    list += item;
}

std::string operation(std::string_view name, const std::string& body) {
    return object_writer().raw(name, body).done();
}

std::string keys_of(const gateway::key_range& keys, object_writer& writer) {
    writer.bytes("key", keys.first);
    if (!keys.end.empty()) { writer.bytes("range_end", keys.end); }
    return writer.done();
}

}  // namespace

transaction& transaction::compare(std::string_view key, std::string_view target,
                                  std::string_view field, std::string value) {
    object_writer writer;
    writer.word("target", target).word("result", "EQUAL").bytes("key", key).raw(field, value);
    append_to_list(conditions_, writer.done());
    return *this;
}

namespace {
std::string quoted(std::int64_t number) { return '"' + std::to_string(number) + '"'; }
}  // namespace

transaction& transaction::if_create_revision(std::string_view key, std::int64_t revision) {
    return compare(key, "CREATE", "create_revision", quoted(revision));
}
transaction& transaction::if_mod_revision(std::string_view key, std::int64_t revision) {
    return compare(key, "MOD", "mod_revision", quoted(revision));
}
transaction& transaction::if_lease(std::string_view key, std::int64_t lease) {
    return compare(key, "LEASE", "lease", quoted(lease));
}
transaction& transaction::if_value(std::string_view key, std::string_view value) {
    std::string text = "\"";
    codec::append_base64(text, value);
    return compare(key, "VALUE", "value", text + '"');
}

namespace {

void add_put(std::string& list, std::string_view key, std::string_view value, std::int64_t lease) {
    append_to_list(list, operation("request_put", gateway::put_body(key, value, lease)));
}
void add_get(std::string& list, std::string_view key) {
    append_to_list(
        list, operation("request_range", gateway::range_body(gateway::key_range::one(key), 0, 0)));
}
void add_remove(std::string& list, std::string_view key) {
    append_to_list(list, operation("request_delete_range",
                                   gateway::remove_body(gateway::key_range::one(key))));
}

}  // namespace

transaction& transaction::then_put(std::string_view key, std::string_view value,
                                   std::int64_t lease) {
    add_put(then_, key, value, lease);
    return *this;
}
transaction& transaction::then_get(std::string_view key) {
    add_get(then_, key);
    return *this;
}
transaction& transaction::then_remove(std::string_view key) {
    add_remove(then_, key);
    return *this;
}
transaction& transaction::else_put(std::string_view key, std::string_view value,
                                   std::int64_t lease) {
    add_put(else_, key, value, lease);
    return *this;
}
transaction& transaction::else_get(std::string_view key) {
    add_get(else_, key);
    return *this;
}
transaction& transaction::else_remove(std::string_view key) {
    add_remove(else_, key);
    return *this;
}

std::string transaction::body() const {
    object_writer writer;
    writer.raw("compare", '[' + conditions_ + ']').raw("success", '[' + then_ + ']');
    writer.raw("failure", '[' + else_ + ']');
    return writer.done();
}

namespace gateway {

std::string end_of_prefix(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) { end.pop_back(); }
    // One zero byte means: no end.
    if (end.empty()) { return std::string(1, '\0'); }
    end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1U);
    return end;
}

key_range key_range::prefix(std::string_view of) {
    // No key is empty, so that one zero byte is the least one.
    return {of.empty() ? std::string(1, '\0') : std::string(of), end_of_prefix(of)};
}

std::string put_body(std::string_view key, std::string_view value, std::int64_t lease) {
    object_writer writer;
    writer.bytes("key", key).bytes("value", value);
    if (lease != 0) { writer.integer("lease", lease); }
    return writer.done();
}

std::string range_body(const key_range& keys, std::int64_t revision, std::int64_t limit) {
    object_writer writer;
    if (revision != 0) { writer.integer("revision", revision); }
    if (limit != 0) { writer.integer("limit", limit); }
    return keys_of(keys, writer);
}

std::string remove_body(const key_range& keys) {
    object_writer writer;
    return keys_of(keys, writer);
}

std::string grant_body(std::int64_t ttl_seconds) {
    return object_writer().integer("TTL", ttl_seconds).done();
}

std::string lease_body(std::int64_t id) { return object_writer().integer("ID", id).done(); }

std::string compact_body(std::int64_t revision) {
    return object_writer().integer("revision", revision).done();
}

std::string login_body(std::string_view user, std::string_view password) {
    return object_writer().word("name", user).word("password", password).done();
}

std::string watch_body(const key_range& keys, std::int64_t from) {
    object_writer writer;
    writer.integer("start_revision", from).raw("progress_notify", "true");
    return operation("create_request", keys_of(keys, writer));
}

namespace {

rt::error bad_answer(std::string_view what) {
    return {errc::bad_answer, "etcd: " + std::string(what) + ": is the endpoint right?"};
}

/// Translates what etcd says: a code of gRPC, and a sentence, which tells more in some cases.
errc code_of(std::int64_t grpc, std::string_view message) noexcept {
    if (message.contains("required revision has been compacted")) { return errc::compacted; }
    if (message.contains("requested lease not found")) { return errc::lease_not_found; }
    if (message.contains("database space exceeded")) { return errc::no_space; }
    // What is wrong with a login is an invalid argument for etcd.
    if (message.contains("authentication failed") || message.contains("user name is empty") ||
        message.contains("revision in header is old") ||
        message.contains("revision of auth store is old")) {
        return errc::permission_denied;
    }
    switch (grpc) {
        case 3:   // invalid argument
        case 5:   // not found
        case 6:   // already exists
        case 9:   // failed precondition
        case 11:  // out of range
        case 12:  // unimplemented
            return errc::invalid_request;
        case 4: return errc::timed_out;  // deadline exceeded
        case 7: return errc::permission_denied;
        case 16:
            return errc::permission_denied;  // not authenticated
        // Cancelled, as the member shuts down; exhausted; aborted; internal; data loss; and what
        // is not known. What failed like that may have taken effect.
        default: return errc::unavailable;
    }
}

bool is_error(const json_value& what) noexcept {
    return what["code"].type() == json_value::kind::number &&
           what["message"].type() == json_value::kind::string;
}

rt::error error_of(const json_value& code, const json_value& message) {
    const std::string said = message.text().substr(0, 300);
    return {code_of(code.int64().value_or(2), said), "etcd: " + said};
}

/// Gives a revision, or a number of changes. One may be added to it.
std::optional<std::int64_t> revision_in(const json_value& from) noexcept {
    const auto number = from.int64();
    const bool is_one =
        number && *number >= 0 && *number < std::numeric_limits<std::int64_t>::max();
    return is_one ? number : std::nullopt;
}

std::optional<key_value> key_value_of(const json_value& from) {
    key_value made;
    auto key = codec::from_base64(from["key"].text());
    auto value = codec::from_base64(from["value"].text());
    const auto created = revision_in(from["create_revision"]);
    const auto changed = revision_in(from["mod_revision"]);
    const auto version = revision_in(from["version"]);
    const auto lease = from["lease"].int64();
    if (!key || !value || !created || !changed || !version || !lease) { return std::nullopt; }
    made.key = std::move(*key);
    made.value = std::move(*value);
    made.create_revision = *created;
    made.mod_revision = *changed;
    made.version = *version;
    made.lease = *lease;
    return made;
}

bool append_found(const json_value& range, std::vector<key_value>& to) {
    for (const auto& each : range["kvs"].items()) {
        auto made = key_value_of(each);
        if (!made) { return false; }
        to.push_back(std::move(*made));
    }
    return true;
}

/// Reads a unary answer. Every one has a header with a revision, by which it is known.
answer<json_value> read_object(std::string_view body) {
    auto read = json_value::parse(body);
    if (!read || !read->is_object()) { return std::unexpected(bad_answer("no JSON object came")); }
    if (const auto& error = (*read)["error"]; !error.is_null()) {
        // Of a stream it is an object, of anything else a sentence.
        if (error.is_object()) {
            const auto& code = error["grpc_code"];
            return std::unexpected(
                error_of(code.is_null() ? error["code"] : code, error["message"]));
        }
        return std::unexpected(error_of((*read)["code"], error));
    }
    if (is_error(*read)) { return std::unexpected(error_of((*read)["code"], (*read)["message"])); }
    return std::move(*read);
}

answer<json_value> read_with_header(std::string_view body) {
    auto read = read_object(body);
    if (read && (!(*read)["header"].is_object() || !revision_in((*read)["header"]["revision"]))) {
        return std::unexpected(bad_answer("an answer without a header came"));
    }
    return read;
}

std::int64_t revision_of(const json_value& answered) {
    return answered["header"]["revision"].int64().value_or(0);
}

}  // namespace

answer<std::string> read_token(std::string_view body) {
    const auto read = read_with_header(body);
    if (!read) { return std::unexpected(read.error()); }
    const auto& value = (*read)["token"];
    const auto& token = value.text();
    const bool is_good =
        value.type() == json_value::kind::string && !token.empty() && token.size() <= 4096 &&
        std::ranges::all_of(token, [](char each) { return each > 32 && each < 127; });
    if (!is_good) { return std::unexpected(bad_answer("a login was answered without a token")); }
    return token;
}

bool is_token_refused(const rt::error& said) noexcept {
    const std::string_view words = said.message();
    return words.contains("invalid auth token") || words.contains("user name is empty") ||
           words.contains("revision in header is old") ||
           words.contains("revision of auth store is old");
}

bool is_login_needless(const rt::error& said) noexcept {
    return std::string_view(said.message()).contains("authentication is not enabled");
}

answer<std::int64_t> read_put(std::string_view body) {
    const auto read = read_with_header(body);
    if (!read) { return std::unexpected(read.error()); }
    return revision_of(*read);
}

answer<range_result> read_range(std::string_view body) {
    auto read = read_with_header(body);
    if (!read) { return std::unexpected(read.error()); }
    range_result made;
    made.revision = revision_of(*read);
    made.cluster = (*read)["header"]["cluster_id"].uint64().value_or(0);
    made.more = (*read)["more"].is_true();
    if (!append_found(*read, made.found)) { return std::unexpected(bad_answer("a bad key came")); }
    return made;
}

answer<std::int64_t> read_removed(std::string_view body) {
    auto read = read_with_header(body);
    if (!read) { return std::unexpected(read.error()); }
    const auto count = (*read)["deleted"].int64();
    if (!count) { return std::unexpected(bad_answer("a bad number came")); }
    return *count;
}

answer<transaction_result> read_transaction(std::string_view body) {
    auto read = read_with_header(body);
    if (!read) { return std::unexpected(read.error()); }
    transaction_result made;
    made.succeeded = (*read)["succeeded"].is_true();
    made.revision = revision_of(*read);
    for (const auto& each : (*read)["responses"].items()) {
        if (!append_found(each["response_range"], made.found)) {
            return std::unexpected(bad_answer("a bad key came"));
        }
    }
    return made;
}

answer<lease_grant> read_grant(std::string_view body) {
    auto read = read_with_header(body);
    if (!read) { return std::unexpected(read.error()); }
    const auto id = (*read)["ID"].int64();
    const auto ttl = (*read)["TTL"].int64();
    // What etcd grants at most, which is less than a time in nanoseconds can be.
    constexpr std::int64_t ttl_max = 9'000'000'000;
    if (!id || *id == 0 || !ttl || *ttl <= 0 || *ttl > ttl_max) {
        return std::unexpected(bad_answer("a lease without id or time came"));
    }
    lease_grant made;
    made.id = *id;
    made.ttl_seconds = *ttl;
    return made;
}

answer<std::int64_t> read_keep_alive(std::string_view body) {
    auto read = read_object(body.substr(0, body.find('\n')));
    if (!read) { return std::unexpected(read.error()); }
    const auto& result = (*read)["result"];
    if (!result["header"].is_object()) {
        return std::unexpected(bad_answer("an answer without a header came"));
    }
    const auto ttl = result["TTL"].int64();
    if (!ttl) { return std::unexpected(bad_answer("a bad number came")); }
    if (*ttl <= 0) {
        return std::unexpected(rt::error(errc::lease_not_found, "etcd: the lease has expired"));
    }
    return *ttl;
}

std::optional<rt::error> read_stream_error(std::string_view body) {
    const auto line = body.substr(0, body.find('\n'));
    // Answers can be large: they are not read twice.
    if (!line.starts_with(R"({"error")")) { return std::nullopt; }
    auto read = read_object(line);
    if (read) { return std::nullopt; }
    return std::move(read).error();
}

rt::error read_error(unsigned http_status, std::string_view body) {
    auto read = read_object(body);
    if (!read && read.error().code() != errc::bad_answer) { return std::move(read).error(); }
    // A proxy's, perhaps.
    const auto text = "etcd: the endpoint answered with the status " + std::to_string(http_status);
    if (http_status == 401 || http_status == 403) { return {errc::permission_denied, text}; }
    if (http_status == 404) { return {errc::bad_answer, text + ": is it etcd 3.4 or newer?"}; }
    if (http_status == 429 || http_status >= 500) { return {errc::unavailable, text}; }
    return {errc::bad_answer, text};
}

namespace {

bool append_changes(const json_value& events, std::vector<watch_event>& to) {
    for (const auto& each : events.items()) {
        const auto& type = each["type"].text();
        auto what = key_value_of(each["kv"]);
        if (!what || what->key.empty() || (!type.empty() && type != "PUT" && type != "DELETE")) {
            return false;
        }
        to.emplace_back(type == "DELETE", std::move(*what));
    }
    return true;
}

}  // namespace

answer<watch_message> read_watch_line(std::string_view line) {
    auto read = read_object(line);
    if (!read) { return std::unexpected(read.error()); }
    const auto& result = (*read)["result"];
    const auto revision = revision_in(result["header"]["revision"]);
    const auto compacted = revision_in(result["compact_revision"]);
    if (!result["header"].is_object() || !revision || !compacted) {
        return std::unexpected(bad_answer("an answer without a header came"));
    }
    watch_message made;
    made.revision = *revision;
    made.cluster = result["header"]["cluster_id"].uint64().value_or(0);
    made.compact_revision = *compacted;
    made.reason = result["cancel_reason"].text().substr(0, 300);
    if (!append_changes(result["events"], made.changes)) {
        return std::unexpected(bad_answer("a bad event came"));
    }
    using enum watch_message::kind;
    // One that is refused is created and canceled in one message.
    if (result["canceled"].is_true()) {
        made.what = canceled;
    } else if (result["created"].is_true()) {
        made.what = created;
    } else {
        made.what = made.changes.empty() ? progress : changes;
    }
    return made;
}

}  // namespace gateway

}  // namespace heph::remote::etcd
