#include <utility>

#include <heph/http/event_stream.hpp>

namespace heph::http {

namespace {

using outcome = std::expected<void, error>;

bool is_line(std::string_view text) noexcept {
    return text.find_first_of("\r\n") == std::string_view::npos;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\n");
}

}  // namespace

std::expected<void, error> server_event::append_to(std::string& out) const {
    const bool sendable =
        is_line(name_) && (!id_ || (is_line(*id_) && id_->find('\0') == std::string::npos));
    if (!sendable) { return std::unexpected(error::bad_response); }
    if (id_) { append_field(out, "id", *id_); }
    if (!name_.empty()) { append_field(out, "event", name_); }
    std::string_view rest = data_;
    for (;;) {
        const std::size_t end = rest.find_first_of("\r\n");
        append_field(out, "data", rest.substr(0, end));
        if (end == std::string_view::npos) { break; }
        const bool pair = rest.substr(end).starts_with("\r\n");
        rest.remove_prefix(end + (pair ? 2 : 1));
    }
    out += '\n';
    return {};
}

task<outcome> event_sink::write(body_writer* to, std::string text) {
    const outcome written = co_await to->write(text);
    co_return written;
}

task<outcome> event_sink::send(server_event event) {
    std::string text;
    const outcome made = event.append_to(text);
    if (!made) {
        return [](outcome failed) -> task<outcome> { co_return failed; }(made);
    }
    return write(to_, std::move(text));
}

task<outcome> event_sink::keep_alive() { return write(to_, ":\n\n"); }

task<outcome> event_sink::retry_after(std::chrono::milliseconds wait) {
    return write(to_, "retry: " + std::to_string(wait.count()) + "\n\n");
}

namespace {

// The head leaves at once: the page learns that it is connected.
task<outcome> produce(event_producer* producer, body_writer* to) {
    const outcome begun = co_await to->write(std::string_view());
    if (!begun) { co_return begun; }
    auto telling = (*producer)(event_sink(*to));
    const outcome told = co_await std::move(telling);
    co_return told;
}

}  // namespace

response event_stream(event_producer producer) {
    auto owned = std::make_unique<event_producer>(std::move(producer));
    response answer = response::stream(
        "text/event-stream",
        [owned = std::move(owned)](body_writer& to) { return produce(owned.get(), &to); });
    answer.set_header("Cache-Control", "no-cache");
    // What nginx gathers for efficiency would come late.
    answer.set_header("X-Accel-Buffering", "no");
    return answer;
}

std::optional<std::string_view> last_event_id(const request& asked) noexcept {
    const auto id = asked.header("Last-Event-ID");
    return id && !id->empty() ? id : std::nullopt;
}

}  // namespace heph::http
