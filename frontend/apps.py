from django.apps import AppConfig


class FrontendConfig(AppConfig):
    name = "frontend"
    verbose_name = "Portal"

    def ready(self) -> None:
        # Once all models are loaded, because the cards read them.
        from frontend import lot_page, quality_card, vision_card

        lot_page.CARDS += [quality_card.card_of_lot, vision_card.card_of_lot]
