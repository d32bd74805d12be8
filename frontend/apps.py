from django.apps import AppConfig


class FrontendConfig(AppConfig):
    name = "frontend"
    verbose_name = "Portal"

    def ready(self) -> None:
        # Once all models are loaded, because the cards read them.
        from allauth.account.signals import user_signed_up

        from frontend import founding, lot_page, quality_card, vision_card

        lot_page.CARDS += [quality_card.card_of_lot, vision_card.card_of_lot]
        user_signed_up.connect(founding.remember_plan, dispatch_uid="remember-plan")
