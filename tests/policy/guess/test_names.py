"""What tools' names are read as: those of public benchmarks and common agents, and names made to mislead."""

from __future__ import annotations

import pytest

from proxy.policy.guess.words import stem, words_of
from proxy.policy.load import default_lexicon

NAMES: dict[tuple[str, str], str] = {
    ("send", "message"): """
        fetch_and_send email_sender
        GmailSendEmail TelegramSendMessage send_channel_message send_direct_message
        send_certificate call_phone
    """,
    ("read", "message"): """
        GmailReadEmail TwitterManagerReadTweet slack_list_channels get_draft_emails
    """,
    ("grant", "identity"): """
        AugustSmartLockGrantGuestAccess AugustSmartLockUnlockDoor transfer_repository
        invite_collaborator invite_user_to_slack grant_app_permission
    """,
    ("pay", "money"): """
        check_and_pay
        BankManagerPayBill BankManagerTransferFunds VenmoSendMoney BinanceWithdraw
        BinanceDeposit EthereumManagerTransferEther verify_transaction send_money
        schedule_transaction update_scheduled_transaction checkout request_refund
        send_payment_request make_payment set_rent_payment
    """,
    ("read", "record"): """
        wikipedia arxiv duckduckgo weather
        weather_forecast text_translator route_planner inventory_tracker get_history list_delete_requests
        AmazonViewSavedAddresses FacebookManagerGetUserDetails
        GitHubGetRepositoryDetails GitHubSearchRepositories EpicFHIRGetPatientDetails
        ZillowSearchProperties FlexportTrackShipment list_commits puppeteer_navigate
        fetch Read get_users_in_channel get_user_info
        find_user_id_by_email calculate check_network_status query_database
        summarize_text translate
    """,
    ("read", "order"): """
        AmazonGetProductDetails check_restaurant_opening_hours get_flight_information
        get_order_details view_cart search_product get_product_reviews track_order
    """,
    ("publish", "web"): """
        TwitterManagerPostTweet create_pull_request create_issue add_issue_comment
        star_repo unstar_repo fork_repository git_push post_webpage
        post_review submit_form export_data subscribe_newsletter
    """,
    ("write", "order"): """
        DropboxDownloadSharedItem ShopifyUpdateProductDetails
        InventoryManagementSystemUpdateItemDetails modify_pending_order_items
        exchange_delivered_order_items return_delivered_order_items add_to_cart
        update_reservation_flights update_reservation_baggages lock_car
    """,
    ("publish", "message"): """
        slack_post_message
    """,
    ("publish", "order"): """
        DropboxUploadItem
    """,
    ("exec", "exec"): """
        TerminalExecute Bash shell run_sql execute_command terraform_apply
        kubectl_delete deploy_production restart_service
    """,
    ("write", "calendar"): """
        EpicFHIRManageAppointments add_calendar_event_participants
        reschedule_calendar_event
    """,
    ("read", "identity"): """
        NortonIdentitySafeGetPassword list_secrets get_secret
    """,
    ("write", "record"): """
        status_update find_and_replace get_or_create
        TodoistUpdateTask create_repository git_clone git_commit set_webhook
        update_user_info modify_user_address modify_user_email apply_coupon
        update_shipping_address refuel_data enable_roaming resume_line suspend_line
        toggle_data open_door set_alarm play_music
    """,
    ("unknown", "record"): """
        SmartHomeManager market_data_api portfolio_manager prescription_management
    """,
    ("order", "order"): """
        ExpediaBookFlight reserve_hotel reserve_restaurant reserve_car_rental
        place_order book_reservation
    """,
    ("read", "web"): """
        WebSearch
        WebFetch
        WebBrowserNavigateTo brave_web_search browse_webpage get_webpage
        get_rating_reviews_for_hotels
    """,
    ("destroy", "record"): """
        log_delete search_and_delete log_wiper plan_delete monitor_stop
        TrafficControlDisableCameras delete_branch disable_roaming reset_apn_settings
    """,
    ("write", "web"): """
        merge_pull_request
    """,
    ("publish", "file"): """
        push_files share_file share_document
    """,
    ("write", "file"): """
        create_or_update_file write_file edit_file move_file Edit Write apply_patch
        download_file_through_url create_dir copy_node append_to_file
    """,
    ("read", "file"): """
        get_file_contents read_file
    """,
    ("write", "identity"): """
        add_ssh_key update_repo_visibility add_collaborator create_access_token
        add_user_to_channel update_password rotate_credentials
    """,
    ("destroy", "identity"): """
        account_deleter
        delete_ssh_key remove_collaborator remove_user_from_slack revoke_token
    """,
    ("input", "web"): """
        puppeteer_click browser_type browser_click input_to_webpage
    """,
    ("none", "record"): """
        Task update_plan transfer_to_human_agents think
    """,
    ("read", "money"): """
        get_balance get_iban get_most_recent_transactions
    """,
    ("destroy", "file"): """
        delete_node delete_file
    """,
    ("destroy", "calendar"): """
        cancel_calendar_event
    """,
    ("destroy", "message"): """
        delete_email
    """,
    ("destroy", "order"): """
        cancel_pending_order clear_cart cancel_reservation
    """,
    ("pay", "order"): """
        ticket_refund_processor
        buy_product
    """,
    ("unknown", "web"): """
        web_page_editor
    """,
}
"""(act, domain): tools."""

MISLEADING = {
    "sendEMail": ("send", "message"),
    "SENDEMAIL": ("send", "message"),  # no sign between the words
    "s\u0435nd_em\u0430il": ("send", "message"),  # Cyrillic letters
    "\uff53\uff45\uff4e\uff44\uff3f\uff45\uff4d\uff41\uff49\uff4c": (
        "send",
        "message",
    ),  # full width
    "se\u200bnd_email": ("send", "message"),  # an invisible one inside
    "mcp__mail__send_message": ("send", "message"),
    "HTTPPostMessage": ("publish", "web"),
    "deletefile": ("destroy", "file"),
    "file-delete": ("destroy", "file"),
    "files.delete.all": ("destroy", "file"),
    "DROP": ("destroy", "record"),
    "open": ("read", "record"),
    "open_page": ("read", "web"),
    "open_account": ("write", "record"),
    "transfer_ownership": ("grant", "identity"),
    "create_text_block": ("write", "record"),
    "lösche_datei": ("destroy", "file"),
    "envoyer_courriel": ("send", "message"),
    "borrar_archivo": ("destroy", "file"),
    "xq7": ("unknown", "record"),
    "code_interpreter_call": ("exec", "exec"),  # no "call" to anybody
    "text_editor_20250124": ("write", "file"),
    "computer_20250124": ("input", "web"),
    "image_generation_call": ("none", "record"),
    "": ("unknown", "record"),
    "\x00\ud800": ("unknown", "record"),
    "a" * 100_000: ("unknown", "record"),
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [(name, about) for about, names in NAMES.items() for name in names.split()],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_tools_name_says_what_it_does(name: str, expected: tuple[str, str]) -> None:
    named = default_lexicon().named(name)
    assert (named.act, named.domain) == expected


@pytest.mark.parametrize(
    ("name", "expected"), MISLEADING.items(), ids=[ascii(name)[:30] for name in MISLEADING]
)
def test_a_name_that_misleads_is_read_as_what_it_looks_like(
    name: str, expected: tuple[str, str]
) -> None:
    named = default_lexicon().named(name)
    assert (named.act, named.domain) == expected


@pytest.mark.parametrize(
    ("name", "trusted"),
    [
        ("get_order_details", True),
        ("get_user_info", True),
        ("calculate", True),
        ("think", True),
        ("read_inbox", False),
        ("get_order_comments", False),
        ("get_product_reviews", False),
        ("read_file", False),
        ("frobnicate", False),
        ("list_events", False),
    ],
)
def test_only_the_operators_own_records_are_trusted(name: str, trusted: bool) -> None:
    assert default_lexicon().named(name).trusted is trusted


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sendEMail_to-All", ("send", "e", "mail", "to", "all")),
        ("getHTTPSPage2", ("get", "https", "page2")),
        ("EpicFHIRManage", ("epic", "fhir", "manage")),
        ("__", ()),
    ],
)
def test_a_name_is_cut_into_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("word", "base"),
    [
        ("deleted", "delet"),
        ("cancelling", "cancell"),
        ("queries", "query"),
        ("patches", "patch"),
        ("pass", "pass"),
    ],
)
def test_an_inflected_word_has_its_stem(word: str, base: str) -> None:
    assert stem(word) == base
